package config

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sandgate/sandgate/gateway/catalog"
	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/identity/mtls"
	"github.com/sandgate/sandgate/gateway/identity/oidc"
)

// Known returns the scopes and tools that callers can be given.
func Known() (identity.Known, error) {
	all, err := catalog.New()
	if err != nil {
		return identity.Known{}, err
	}
	known := identity.Known{Scopes: all.Scopes()}
	for _, tool := range all.Tools() {
		known.Tools = append(known.Tools, tool.Proto.GetName())
	}
	return known, nil
}

// Known returns the same with the operator's own tools, by the names of the programs in their folder: a key may be
// made before its tool is right. Without a folder that can be read there are none.
func (c *Config) Known() (identity.Known, error) {
	known, err := Known()
	if err != nil || c.WasmTools == "" {
		return known, err
	}
	files, err := os.ReadDir(c.WasmTools)
	if err != nil {
		return known, nil //nolint:nilerr // whoever opens the folder says so
	}
	for _, file := range files {
		if name, ok := strings.CutSuffix(file.Name(), ".wasm"); ok {
			known.Tools = append(known.Tools, name)
		}
	}
	return known, nil
}

// checkVouchers says what is wrong with those who vouch for callers in place of keys.
func checkVouchers(c *Config, add func(field, text string)) {
	if len(c.OIDC)+len(c.ClientCerts) == 0 && c.ClientCAFile == "" {
		return
	}
	known, err := c.Known()
	if err != nil {
		add("oidc", err.Error())
		return
	}
	if err := oidc.Check(c.OIDC, known); err != nil {
		add("oidc", err.Error())
	}
	if c.ClientCAFile == "" && len(c.ClientCerts) == 0 {
		return
	}
	if c.ClientCAFile == "" || len(c.ClientCerts) == 0 {
		add("client_ca_file", "client_ca_file and client_certs go together; set both or neither")
		return
	}
	if c.TLSCert == "" {
		add("client_ca_file", "clients show certificates over TLS alone; set tls_cert and tls_key")
	}
	if !filepath.IsAbs(c.ClientCAFile) {
		add("client_ca_file", strconv.Quote(c.ClientCAFile)+" must be an absolute path")
	} else if err := mtls.CheckFile(c.ClientCAFile); err != nil {
		add("client_ca_file", "is no use: "+reason(err))
	}
	if err := mtls.Check(c.ClientCerts, known); err != nil {
		add("client_certs", err.Error())
	}
}
