// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"

	"github.com/godaddy/asherah/go/securememory"
	"github.com/godaddy/asherah/go/securememory/memguard"
	"github.com/godaddy/asherah/go/securememory/protectedmemory"
)

const secretBytes = 32

var (
	errLength = errors.New("a secret of another length")
	oneOrTwo  = []int{1, 2}
	kept      byte // results go here, so that no work is left out
)

func look(b []byte) error {
	if len(b) != secretBytes {
		return errLength
	}
	kept = b[0]
	return nil
}

func withBytes(secret securememory.Secret) work {
	return func(_ int, operations uint64) error {
		for range operations {
			if err := secret.WithBytes(look); err != nil {
				return err
			}
		}
		return nil
	}
}

// nested is withBytes inside an access that lasts as long as the sample.
func nested(secret securememory.Secret) work {
	inner := withBytes(secret)
	return func(thread int, operations uint64) error {
		return secret.WithBytes(func([]byte) error { return inner(thread, operations) })
	}
}

func readOnce(r io.Reader) error {
	var out [secretBytes]byte
	n, err := r.Read(out[:])
	kept = out[0]
	if n != len(out) || (err != nil && !errors.Is(err, io.EOF)) {
		return errLength
	}
	return nil
}

func readFull(r io.Reader) error {
	var out [secretBytes]byte
	_, err := io.ReadFull(r, out[:])
	kept = out[0]
	return err
}

func readAll(r io.Reader) error {
	out, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return look(out)
}

// reader makes a reader in each operation.
func reader(secret securememory.Secret, use func(io.Reader) error) work {
	return func(_ int, operations uint64) error {
		for range operations {
			if err := use(secret.NewReader()); err != nil {
				return err
			}
		}
		return nil
	}
}

func createRandom(factory securememory.SecretFactory) work {
	return func(_ int, operations uint64) error {
		for range operations {
			secret, err := factory.CreateRandom(secretBytes)
			if err != nil {
				return err
			}
			if err := secret.Close(); err != nil {
				return err
			}
		}
		return nil
	}
}

func addSecrets(b *bench) error {
	if !b.wants("secret/") && b.prefix[:min(7, len(b.prefix))] != "secret/" {
		return nil
	}
	factory := new(memguard.SecretFactory)
	secret, err := factory.CreateRandom(secretBytes)
	if err != nil {
		return err
	}
	b.add("secret/strict/lone", "memguard", oneOrTwo, withBytes(secret))
	b.add("secret/strict/nested", "memguard", oneOrTwo, nested(secret))
	b.add("secret/reader/read", "memguard", oneOrTwo, reader(secret, readOnce))
	b.add("secret/reader/read_full", "memguard", oneOrTwo, reader(secret, readFull))
	b.add("secret/reader/read_all", "memguard", oneOrTwo, reader(secret, readAll))
	b.add("secret/create_random", "memguard", oneOrTwo, createRandom(factory))
	b.add("secret/create_random", "protectedmemory", oneOrTwo, createRandom(new(protectedmemory.SecretFactory)))
	return nil
}
