// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/godaddy/asherah/go/appencryption"
)

// growth is a factory and its partitions, each of which is used once before anything is measured.
type growth struct {
	once    sync.Once
	factory *appencryption.SessionFactory
	names   []string
	payload []byte
	err     error
}

// use is what is measured: a session, an encrypt, and the session's end.
func (g *growth) use(name string) error {
	session, err := g.factory.GetSession(name)
	if err != nil {
		return err
	}
	if _, err := session.Encrypt(context.Background(), g.payload); err != nil {
		return err
	}
	return session.Close()
}

func (g *growth) warm() {
	g.factory, g.err = openFactory(appencryption.NewCryptoPolicy())
	for _, name := range g.names {
		if g.err == nil {
			g.err = g.use(name)
		}
	}
}

// run makes all warm by its first operation, which is in the calibration that is thrown away.
func (g *growth) run(thread int, operations uint64) error {
	g.once.Do(g.warm)
	if g.err != nil {
		return g.err
	}
	random := rand.New(rand.NewPCG(uint64(thread), operations))
	for range operations {
		if err := g.use(g.names[random.IntN(len(g.names))]); err != nil {
			return err
		}
	}
	return nil
}

func addGrowth(b *bench) error {
	for _, row := range []struct{ partitions, threads int }{{1000, 1}, {10000, 1}, {10000, 16}} {
		name := fmt.Sprintf("growth/%d/%d", row.partitions, row.threads)
		if !b.wants(name) {
			continue
		}
		g := &growth{payload: []byte(strings.Repeat("x", 1024))}
		for i := range row.partitions {
			g.names = append(g.names, fmt.Sprintf("partition-%07d", i))
		}
		b.add(name, "memguard", []int{row.threads}, g.run)
	}
	return nil
}
