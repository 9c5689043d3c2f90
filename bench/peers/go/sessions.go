// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/godaddy/asherah/go/appencryption"
	"github.com/godaddy/asherah/go/appencryption/pkg/crypto/aead"
	"github.com/godaddy/asherah/go/appencryption/pkg/kms"
	"github.com/godaddy/asherah/go/appencryption/pkg/persistence"
)

func openFactory(policy *appencryption.CryptoPolicy) (*appencryption.SessionFactory, error) {
	crypto := aead.NewAES256GCM()
	manager, err := kms.NewStatic("a master key for benchmarks only", crypto)
	if err != nil {
		return nil, err
	}
	config := &appencryption.Config{Service: "service", Product: "product", Policy: policy}
	store := persistence.NewMemoryMetastore()
	return appencryption.NewSessionFactory(config, store, manager, crypto), nil
}

// sessionWork makes what is measured, of a payload that has been encrypted once.
type sessionWork func(session *appencryption.Session, payload []byte) (work, error)

func repeat(operation func() error) work {
	return func(_ int, operations uint64) error {
		for range operations {
			if err := operation(); err != nil {
				return err
			}
		}
		return nil
	}
}

func encrypt(session *appencryption.Session, payload []byte) (work, error) {
	return repeat(func() error {
		_, err := session.Encrypt(context.Background(), payload)
		return err
	}), nil
}

func encryptJSON(session *appencryption.Session, payload []byte) (work, error) {
	return repeat(func() error {
		record, err := session.Encrypt(context.Background(), payload)
		if err != nil {
			return err
		}
		_, err = json.Marshal(record)
		return err
	}), nil
}

func decrypt(session *appencryption.Session, payload []byte) (work, error) {
	record, err := session.Encrypt(context.Background(), payload)
	if err != nil {
		return nil, err
	}
	operation := func() error {
		plain, err := session.Decrypt(context.Background(), *record)
		if err == nil && len(plain) != len(payload) {
			return errLength
		}
		return err
	}
	plain, err := session.Decrypt(context.Background(), *record)
	if err == nil && !bytes.Equal(plain, payload) {
		err = errors.New("decrypted something else")
	}
	return repeat(operation), err
}

func decryptJSON(session *appencryption.Session, payload []byte) (work, error) {
	made, err := session.Encrypt(context.Background(), payload)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(made)
	return repeat(func() error {
		var record appencryption.DataRowRecord
		if err := json.Unmarshal(text, &record); err != nil {
			return err
		}
		plain, err := session.Decrypt(context.Background(), record)
		if err == nil && len(plain) != len(payload) {
			return errLength
		}
		return err
	}), err
}

var kinds = []struct {
	name  string
	make  sessionWork
	sizes []int
}{
	{"encrypt", encrypt, []int{64, 1024, 8192, 65536, 1048576}},
	{"decrypt", decrypt, []int{64, 1024, 65536}},
	{"encrypt_json", encryptJSON, []int{64, 1024, 8192}},
	{"decrypt_json", decryptJSON, []int{64, 1024, 8192}},
}

func addSessions(b *bench) error {
	factory, err := openFactory(appencryption.NewCryptoPolicy())
	if err != nil {
		return err
	}
	session, err := factory.GetSession("partition")
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		for _, size := range kind.sizes {
			name := fmt.Sprintf("session/%s/%d", kind.name, size)
			if !b.wants(name) {
				continue
			}
			w, err := kind.make(session, []byte(strings.Repeat("x", size)))
			if err != nil {
				return err
			}
			threads := []int{1}
			if size <= 1024 {
				threads = []int{1, 2, 16}
			}
			b.add(name, "memguard", threads, w)
		}
	}
	return nil
}

// runLocked encrypts for so many partitions with the factory's shared cache of keys.
func runLocked(keys int) error {
	factory, err := openFactory(appencryption.NewCryptoPolicy(appencryption.WithSharedIntermediateKeyCache(keys)))
	if err != nil {
		return err
	}
	for i := range keys {
		session, err := factory.GetSession(fmt.Sprintf("partition-%d", i))
		if err != nil {
			return err
		}
		if _, err := session.Encrypt(context.Background(), []byte("x")); err != nil {
			return err
		}
		if err := session.Close(); err != nil {
			return err
		}
	}
	return printLocked(keys)
}
