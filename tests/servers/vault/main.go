// A Vault server for tests: HashiCorp's own core, HTTP interface, KV engine and JWT method, in memory, over TLS.
//
// The whole program takes twice as long to build, with the storage and the plugins of every cloud. Vault's licence
// (BUSL 1.1) allows this use; nothing of it is shipped.
//
// Usage: vault CERTIFICATE KEY. Prints one line of JSON with the address and the root token, then serves.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/hashicorp/go-hclog"
	jwt "github.com/hashicorp/vault-plugin-auth-jwt"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

// plugins is the catalogue of what this server can mount.
type plugins struct{}

func (plugins) factory(name string, kind consts.PluginType) logical.Factory {
	switch {
	case name == "kv" && kind == consts.PluginTypeSecrets:
		return kv.Factory
	case name == "jwt" && kind == consts.PluginTypeCredential:
		return jwt.Factory
	}
	return nil
}

func (p plugins) Contains(name string, kind consts.PluginType) bool {
	return p.factory(name, kind) != nil
}

func (p plugins) Get(name string, kind consts.PluginType) (func() (interface{}, error), bool) {
	factory := p.factory(name, kind)
	return func() (interface{}, error) { return factory, nil }, factory != nil
}

func (plugins) Keys(kind consts.PluginType) []string {
	switch kind {
	case consts.PluginTypeSecrets:
		return []string{"kv"}
	case consts.PluginTypeCredential:
		return []string{"jwt"}
	}
	return nil
}

func (p plugins) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, p.Contains(name, kind)
}

func (plugins) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }

func run(certificate, key string) error {
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: os.Stderr})
	storage, err := inmem.NewInmem(nil, logger)
	if err != nil {
		return err
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical:           storage,
		DisableMlock:       true,
		Logger:             logger,
		BuiltinRegistry:    plugins{},
		LogicalBackends:    map[string]logical.Factory{"kv": kv.Factory},
		CredentialBackends: map[string]logical.Factory{"jwt": jwt.Factory},
	})
	if err != nil {
		return err
	}
	one := &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}
	made, err := core.Initialize(context.Background(), &vault.InitParams{BarrierConfig: one, RecoveryConfig: one})
	if err != nil {
		return err
	}
	if _, err = core.Unseal(made.SecretShares[0]); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	told := map[string]string{"address": "https://" + listener.Addr().String(), "token": made.RootToken}
	if err = json.NewEncoder(os.Stdout).Encode(told); err != nil {
		return err
	}
	handler := vaulthttp.Handler.Handler(&vault.HandlerProperties{
		Core:           core,
		ListenerConfig: &configutil.Listener{},
	})
	return http.ServeTLS(listener, handler, certificate, key)
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: vault CERTIFICATE KEY")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
