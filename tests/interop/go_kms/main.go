// SPDX-License-Identifier: Apache-2.0

// The Go peer of the interop test of AWS KMS: encrypts and decrypts keys with the published Go SDK, over either of its two
// plugins. The protocol is described in ../README.md.
//
// usage: peer v1|v2 REGION=KEY@URL[,REGION=KEY@URL...]    (the first region is preferred)
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	awsv1 "github.com/aws/aws-sdk-go/aws"
	sessionv1 "github.com/aws/aws-sdk-go/aws/session"
	sdkv1 "github.com/aws/aws-sdk-go/service/kms"

	awsv2 "github.com/aws/aws-sdk-go-v2/aws"
	sdkv2 "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/godaddy/asherah/go/appencryption"
	"github.com/godaddy/asherah/go/appencryption/pkg/crypto/aead"
	kmsv1 "github.com/godaddy/asherah/go/appencryption/plugins/aws-v1/kms"
	kmsv2 "github.com/godaddy/asherah/go/appencryption/plugins/aws-v2/kms"
)

type regions struct {
	preferred string
	keys      map[string]string
	urls      map[string]string
}

func parse(text string) regions {
	all := regions{keys: map[string]string{}, urls: map[string]string{}}
	for _, one := range strings.Split(text, ",") {
		region, rest, _ := strings.Cut(one, "=")
		key, url, _ := strings.Cut(rest, "@")
		all.keys[region], all.urls[region] = key, url
		if all.preferred == "" {
			all.preferred = region
		}
	}
	return all
}

// Clients have endpoints of their own, which the SDK has no option for: they are put in place afterwards.
func openV1(all regions) (appencryption.KeyManagementService, error) {
	made, err := kmsv1.NewAWS(aead.NewAES256GCM(), all.preferred, all.keys)
	if err != nil {
		return nil, err
	}
	for i, client := range made.Clients {
		config := awsv1.NewConfig().WithRegion(client.Region).WithEndpoint(all.urls[client.Region])
		made.Clients[i].KMS = sdkv1.New(sessionv1.Must(sessionv1.NewSession()), config)
	}
	return made, nil
}

func openV2(all regions) (appencryption.KeyManagementService, error) {
	factory := func(config awsv2.Config, options ...func(*sdkv2.Options)) kmsv2.AWSClient {
		url := all.urls[config.Region]
		return sdkv2.NewFromConfig(config, append(options, func(o *sdkv2.Options) { o.BaseEndpoint = &url })...)
	}
	return kmsv2.NewBuilder(aead.NewAES256GCM(), all.keys).WithPreferredRegion(all.preferred).WithKMSFactory(factory).Build()
}

func answer(kms appencryption.KeyManagementService, line string) (string, error) {
	word, rest, _ := strings.Cut(line, " ")
	if word == "encrypt" {
		key, err := hex.DecodeString(rest)
		if err != nil {
			return "", err
		}
		envelope, err := kms.EncryptKey(context.Background(), key)
		return "envelope " + string(envelope), err
	}
	key, err := kms.DecryptKey(context.Background(), []byte(rest))
	return "key " + hex.EncodeToString(key), err
}

func main() {
	open := openV2
	if os.Args[1] == "v1" {
		open = openV1
	}
	kms, err := open(parse(os.Args[2]))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		said, err := answer(kms, lines.Text())
		if err != nil {
			said = "error " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Println(said)
	}
}
