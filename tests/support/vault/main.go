// SPDX-License-Identifier: Apache-2.0

// Vault for tests: its own core and its Transit engine, in memory, behind TLS on free ports of 127.0.0.1.
//
//	vault FOLDER
//
// Prints "name value" lines (url; wrong_name_url, the same server with a certificate for another name; root; role_id;
// secret_id; jwt), then "ready". Then takes lines on standard input and answers each with one: "api METHOD PATH [JSON]" (as
// root: "STATUS BODY"), "count PREFIX" (requests to paths that begin so), "token" (that came with the last request), "seal",
// "unseal". Ends with its standard input.
// FOLDER receives ca.pem, and client.pem with client.key for log-in by certificate.
//
// There: transit/ with the keys "asherah" and "other"; approle/, kubernetes/ and cert/, each with a role "asherah" whose
// tokens may encrypt, decrypt and rewrap with "asherah" and nothing else.
package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	kubernetes "github.com/hashicorp/vault-plugin-auth-kubernetes"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/credential/cert"
	"github.com/hashicorp/vault/builtin/logical/transit"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// registry lists the plugins that are compiled in: without one every mount is refused.
type registry map[string]consts.PluginType

func (r registry) Contains(name string, kind consts.PluginType) bool { return r[name] == kind }
func (r registry) Keys(kind consts.PluginType) (names []string) {
	for name, of := range r {
		if of == kind {
			names = append(names, name)
		}
	}
	return
}
func (r registry) Get(name string, kind consts.PluginType) (func() (interface{}, error), bool) {
	return func() (interface{}, error) { return nil, fmt.Errorf("%s is compiled in", name) }, r.Contains(name, kind)
}
func (r registry) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, r.Contains(name, kind)
}
func (registry) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }

// ---- certificates ----

type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pem  []byte
}

func template(name string, ca bool) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: must(rand.Int(rand.Reader, big.NewInt(1<<62))), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: ca, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

func newAuthority() *authority {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der := must(x509.CreateCertificate(rand.Reader, template("test CA", true), template("test CA", true), &key.PublicKey, key))
	return &authority{key, must(x509.ParseCertificate(der)), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue makes a certificate for a host (an address or a name), and its key, both as PEM.
func (a *authority) issue(host string) (certPEM, keyPEM []byte) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	leaf := template(host, false)
	if address := net.ParseIP(host); address != nil {
		leaf.IPAddresses = []net.IP{address}
	} else {
		leaf.DNSNames = []string{host}
	}
	der := must(x509.CreateCertificate(rand.Reader, leaf, a.cert, &key.PublicKey, a.key))
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))})
}

// serve listens on a free port, with a certificate for host, and returns the URL.
func (a *authority) serve(host string, handler http.Handler) string {
	certPEM, keyPEM := a.issue(host)
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0), TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{must(tls.X509KeyPair(certPEM, keyPEM))}, ClientAuth: tls.RequestClientCert}}
	go func() { log.Fatal(server.ServeTLS(listener, "", "")) }()
	return "https://" + listener.Addr().String()
}

// ---- what Kubernetes says of service accounts ----

var accountKey = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))

// accountToken makes the token of the service account "asherah" in "default".
func accountToken() string {
	part := func(value any) string { return base64.RawURLEncoding.EncodeToString(must(json.Marshal(value))) }
	text := part(map[string]string{"alg": "ES256", "typ": "JWT"}) + "." + part(map[string]any{
		"iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:default:asherah", "aud": []string{"vault"},
		"exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "pad": strings.Repeat("x", 900),
		"kubernetes.io": map[string]any{"namespace": "default",
			"serviceaccount": map[string]string{"name": "asherah", "uid": "0123"}}})
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, accountKey, sum[:])
	check(err)
	return text + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// reviewTokens stands for the API of Kubernetes that tells whether a token is good.
func reviewTokens(good string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var review map[string]any
		check(json.NewDecoder(r.Body).Decode(&review))
		spec := review["spec"].(map[string]any)
		review["status"] = map[string]any{"authenticated": spec["token"] == good, "audiences": spec["audiences"],
			"user": map[string]any{"username": "system:serviceaccount:default:asherah", "uid": "0123"}}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		check(json.NewEncoder(w).Encode(review))
	}
}

// ---- Vault ----

type server struct {
	core    *vault.Core
	handler http.Handler
	share   []byte
	root    string
	lock    sync.Mutex
	paths   []string // of all requests so far
	token   string   // of the last that had one
}

func newServer() *server {
	logger := hclog.NewNullLogger()
	core := must(vault.NewCore(&vault.CoreConfig{
		Physical: must(inmem.NewInmem(nil, logger)), Logger: logger, DisableMlock: true, DisableCache: true,
		LogicalBackends:    map[string]logical.Factory{"transit": transit.Factory},
		CredentialBackends: map[string]logical.Factory{"approle": approle.Factory, "kubernetes": kubernetes.Factory, "cert": cert.Factory},
		BuiltinRegistry: registry{"transit": consts.PluginTypeSecrets, "approle": consts.PluginTypeCredential,
			"kubernetes": consts.PluginTypeCredential, "cert": consts.PluginTypeCredential},
	}))
	made := must(core.Initialize(context.Background(), &vault.InitParams{
		BarrierConfig: &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}, RecoveryConfig: &vault.SealConfig{}}))
	s := &server{core: core, share: made.SecretShares[0], root: made.RootToken}
	s.unseal()
	s.handler = vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core,
		ListenerConfig: &configutil.Listener{Address: "127.0.0.1"}})
	return s
}

func (s *server) unseal() {
	must(s.core.Unseal(append([]byte(nil), s.share...)))
}

// ServeHTTP notes the path and hands on.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.lock.Lock()
	s.paths = append(s.paths, strings.TrimPrefix(r.URL.Path, "/v1/"))
	if token := r.Header.Get("X-Vault-Token"); token != "" {
		s.token = token
	}
	s.lock.Unlock()
	s.handler.ServeHTTP(w, r)
}

func (s *server) count(prefix string) (count int) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, path := range s.paths {
		if strings.HasPrefix(path, prefix) {
			count++
		}
	}
	return
}

func (s *server) api(method, path, body string) (int, string) {
	request := httptest.NewRequest(method, "/v1/"+path, strings.NewReader(body))
	request.Header.Set("X-Vault-Token", s.root)
	request.Header.Set("X-Vault-Request", "true")
	answer := httptest.NewRecorder()
	s.handler.ServeHTTP(answer, request)
	return answer.Code, strings.TrimSpace(answer.Body.String())
}

// do is api for what must succeed.
func (s *server) do(method, path string, body any) map[string]any {
	code, text := s.api(method, path, string(must(json.Marshal(body))))
	if code >= 300 {
		log.Fatalf("%s %s: %d %s", method, path, code, text)
	}
	var answer struct{ Data map[string]any }
	_ = json.Unmarshal([]byte(text), &answer)
	return answer.Data
}

const policy = `
path "transit/encrypt/asherah" { capabilities = ["update"] }
path "transit/decrypt/asherah" { capabilities = ["update"] }
path "transit/rewrap/asherah" { capabilities = ["update"] }`

type object = map[string]any

func (s *server) setUp(ca *authority, jwt, reviewer string) {
	s.do("POST", "sys/mounts/transit", object{"type": "transit"})
	s.do("POST", "transit/keys/asherah", object{})
	s.do("POST", "transit/keys/other", object{})
	s.do("PUT", "sys/policies/acl/asherah", object{"policy": policy})
	for _, method := range []string{"approle", "kubernetes", "cert"} {
		s.do("POST", "sys/auth/"+method, object{"type": method})
	}
	s.do("POST", "auth/approle/role/asherah", object{"token_policies": "asherah", "token_ttl": "1h", "token_max_ttl": "24h"})
	s.do("POST", "auth/kubernetes/config", object{"kubernetes_host": reviewer, "kubernetes_ca_cert": string(ca.pem),
		"disable_local_ca_jwt": true, "token_reviewer_jwt": jwt})
	s.do("POST", "auth/kubernetes/role/asherah", object{"bound_service_account_names": "asherah", "audience": "vault",
		"bound_service_account_namespaces": "default", "token_policies": "asherah", "token_ttl": "1h"})
	s.do("POST", "auth/cert/certs/asherah", object{"certificate": string(ca.pem), "token_policies": "asherah", "token_ttl": "1h"})
}

func (s *server) answer(line string) string {
	words := strings.SplitN(line, " ", 4)
	switch {
	case words[0] == "api" && len(words) >= 3:
		body := ""
		if len(words) == 4 {
			body = words[3]
		}
		code, text := s.api(words[1], words[2], body)
		return fmt.Sprintf("%d %s", code, strings.ReplaceAll(text, "\n", " "))
	case words[0] == "count" && len(words) == 2:
		return fmt.Sprint(s.count(words[1]))
	case words[0] == "token":
		s.lock.Lock()
		defer s.lock.Unlock()
		return s.token
	case words[0] == "seal":
		check(s.core.Seal(s.root))
		return "sealed"
	case words[0] == "unseal":
		s.unseal()
		return "unsealed"
	}
	return "what?"
}

func write(folder, name string, content []byte) {
	check(os.WriteFile(filepath.Join(folder, name), content, 0o600))
}

func main() {
	folder := os.Args[1]
	ca := newAuthority()
	jwt := accountToken()
	s := newServer()
	s.setUp(ca, jwt, ca.serve("127.0.0.1", reviewTokens(jwt)))
	write(folder, "ca.pem", ca.pem)
	certPEM, keyPEM := ca.issue("service")
	write(folder, "client.pem", certPEM)
	write(folder, "client.key", keyPEM)
	fmt.Println("url", ca.serve("127.0.0.1", s))
	fmt.Println("wrong_name_url", ca.serve("elsewhere.example", s))
	fmt.Println("root", s.root)
	fmt.Println("role_id", s.do("GET", "auth/approle/role/asherah/role-id", nil)["role_id"])
	fmt.Println("secret_id", s.do("POST", "auth/approle/role/asherah/secret-id", object{})["secret_id"])
	fmt.Println("jwt", jwt)
	fmt.Println("ready .")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println(s.answer(lines.Text()))
	}
}
