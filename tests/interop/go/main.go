// SPDX-License-Identifier: Apache-2.0

// The Go peer of the interop test: encrypts or decrypts a list of cases with the published Go SDK.
// The protocol is described in ../README.md.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go/aws"
	awssession "github.com/aws/aws-sdk-go/aws/session"
	"github.com/go-sql-driver/mysql"
	"github.com/godaddy/asherah/go/appencryption"
	"github.com/godaddy/asherah/go/appencryption/pkg/crypto/aead"
	"github.com/godaddy/asherah/go/appencryption/pkg/kms"
	"github.com/godaddy/asherah/go/appencryption/pkg/persistence"
	_ "github.com/godaddy/asherah/go/securememory"
	_ "github.com/lib/pq"
)

type setup struct {
	Service   string `json:"service"`
	Product   string `json:"product"`
	MasterKey string `json:"master_key"`
	Store     string `json:"store"`
	Suffix    string `json:"suffix"`
}

// regional gives the SDK the suffix the way a store that spans regions does.
type regional struct {
	*persistence.MemoryMetastore
	suffix string
}

func (r *regional) GetRegionSuffix() string { return r.suffix }

type row struct {
	ID        string `json:"id"`
	Created   int64  `json:"created"`
	KeyRecord string `json:"key_record"`
}

type request struct {
	Partition string `json:"partition"`
	Payload   []byte `json:"payload_b64"`
	DRR       string `json:"drr"`
}

func loadStore(path string) (*persistence.MemoryMetastore, error) {
	store := persistence.NewMemoryMetastore()
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var rows []row
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, err
	}
	for _, r := range rows {
		var record appencryption.EnvelopeKeyRecord
		if err := json.Unmarshal([]byte(r.KeyRecord), &record); err != nil {
			return nil, fmt.Errorf("row %q: %w", r.ID, err)
		}
		if _, err := store.Store(context.Background(), r.ID, r.Created, &record); err != nil {
			return nil, err
		}
	}
	return store, nil
}

func saveStore(store *persistence.MemoryMetastore, path string) error {
	rows := []row{}
	for id, byCreated := range store.Envelopes {
		for created, record := range byCreated {
			text, err := json.Marshal(record)
			if err != nil {
				return err
			}
			rows = append(rows, row{id, created, string(text)})
		}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

func perform(factory *appencryption.SessionFactory, operation string, line []byte) (map[string]any, error) {
	var req request
	if err := json.Unmarshal(line, &req); err != nil {
		return nil, err
	}
	session, err := factory.GetSession(req.Partition)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	if operation == "encrypt" {
		record, err := session.Encrypt(context.Background(), req.Payload)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(record)
		return map[string]any{"drr": string(text)}, err
	}
	var record appencryption.DataRowRecord
	if err := json.Unmarshal([]byte(req.DRR), &record); err != nil {
		return nil, err
	}
	plain, err := session.Decrypt(context.Background(), record)
	if plain == nil {
		plain = []byte{}
	}
	return map[string]any{"payload_b64": plain}, err
}

// mysqlSource writes a mysql:// URL as the driver takes it.
func mysqlSource(text string) (string, error) {
	at, err := url.Parse(text)
	if err != nil {
		return "", err
	}
	source := mysql.NewConfig()
	source.User = at.User.Username()
	source.Passwd, _ = at.User.Password()
	source.Net, source.Addr, source.DBName = "tcp", at.Host, strings.TrimPrefix(at.Path, "/")
	return source.FormatDSN(), nil
}

func openSQL(driver, source string, kind persistence.SQLMetastoreDBType) (appencryption.Metastore, func() error, error) {
	db, err := sql.Open(driver, source)
	if err != nil {
		return nil, nil, err
	}
	return persistence.NewSQLMetastore(db, persistence.WithSQLMetastoreDBType(kind)), db.Close, nil
}

func openDynamoDB(address string) (appencryption.Metastore, func() error, error) {
	session, err := awssession.NewSession(&aws.Config{Endpoint: aws.String("http://" + address)})
	if err != nil {
		return nil, nil, err
	}
	return persistence.NewDynamoDBMetastore(session), func() error { return nil }, nil
}

// openStore gives the store, and what is to be done with it at the end.
func openStore(conf setup) (appencryption.Metastore, func() error, error) {
	scheme, address, _ := strings.Cut(conf.Store, "://")
	switch scheme {
	case "postgres":
		return openSQL("postgres", conf.Store, persistence.Postgres)
	case "mysql":
		source, err := mysqlSource(conf.Store)
		if err != nil {
			return nil, nil, err
		}
		return openSQL("mysql", source, persistence.MySQL)
	case "dynamodb":
		return openDynamoDB(address)
	}
	store, err := loadStore(conf.Store)
	if err != nil {
		return nil, nil, err
	}
	save := func() error { return saveStore(store, conf.Store) }
	if conf.Suffix != "" {
		return &regional{store, conf.Suffix}, save, nil
	}
	return store, save, nil
}

func serve(operation string, in *bufio.Reader, out *json.Encoder) error {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	var conf setup
	if err := json.Unmarshal(line, &conf); err != nil {
		return err
	}
	metastore, end, err := openStore(conf)
	if err != nil {
		return err
	}
	crypto := aead.NewAES256GCM()
	manager, err := kms.NewStatic(conf.MasterKey, crypto)
	if err != nil {
		return err
	}
	config := &appencryption.Config{Service: conf.Service, Product: conf.Product, Policy: appencryption.NewCryptoPolicy()}
	factory := appencryption.NewSessionFactory(config, metastore, manager, crypto)
	defer factory.Close()
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return end()
		}
		if err != nil {
			return err
		}
		answer, err := perform(factory, operation, line)
		if err != nil {
			answer = map[string]any{"error": err.Error()}
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
}

func main() {
	if len(os.Args) != 2 || (os.Args[1] != "encrypt" && os.Args[1] != "decrypt") {
		fmt.Fprintln(os.Stderr, "usage: peer encrypt|decrypt")
		os.Exit(2)
	}
	if err := serve(os.Args[1], bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
