module ael/interop

go 1.25.0

require (
	github.com/aws/aws-sdk-go v1.55.8
	github.com/go-sql-driver/mysql v1.9.3
	github.com/godaddy/asherah/go/appencryption v0.9.0
	github.com/godaddy/asherah/go/securememory v0.1.7
	github.com/lib/pq v1.10.9
)

require (
	filippo.io/edwards25519 v1.1.0 // indirect
	github.com/awnumar/memcall v0.4.0 // indirect
	github.com/awnumar/memguard v0.22.5 // indirect
	github.com/jmespath/go-jmespath v0.4.0 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/rcrowley/go-metrics v0.0.0-20201227073835-cf1acfcdf475 // indirect
	golang.org/x/crypto v0.35.0 // indirect
	golang.org/x/sys v0.34.0 // indirect
)
