// SPDX-License-Identifier: Apache-2.0

package main

// Names what the SDK's own tests need, so that go.sum has it: scripts/bench-peers builds and runs the SDK's
// benchmarks of its key cache from here.
import (
	_ "github.com/stretchr/testify/assert"
	_ "github.com/stretchr/testify/mock"
	_ "github.com/stretchr/testify/suite"
)
