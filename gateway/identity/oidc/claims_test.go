package oidc

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sandgate/sandgate/gateway/identity"
)

// issuer returns one whose claims decide everything.
func issuer() *Issuer {
	return &Issuer{
		URL: "https://login.example", Audience: "us", TenantClaim: "org", ScopeClaim: "scope", ToolsClaim: "may",
		ScopeMap: map[string][]string{"run": {"python", "tools"}, "read": {"files"}}, DefaultScopes: []string{"tools"},
	}
}

func TestScopesAndTools(t *testing.T) {
	now := time.Unix(1000, 0)
	for name, tt := range map[string]struct {
		claims        string
		change        func(*Issuer)
		scopes, tools []string
		wrong         bool
	}{
		"mapped":               {claims: `"scope":"run","may":"python_run"`, scopes: []string{"python", "tools"}, tools: []string{"python_run"}},
		"mapped twice":         {claims: `"scope":"run read run","may":["file_read"]`, scopes: []string{"files", "python", "tools"}, tools: []string{"file_read"}},
		"a list":               {claims: `"scope":["read"]`, scopes: []string{"files"}, tools: []string{}},
		"no claim":             {claims: ``, scopes: []string{"tools"}, tools: []string{}},
		"an empty claim":       {claims: `"scope":""`, scopes: []string{}, tools: []string{}},
		"words that mean none": {claims: `"scope":"openid files admin","may":"rm *"`, scopes: []string{}, tools: []string{}},
		"names as they are":    {claims: `"scope":"files root"`, change: func(i *Issuer) { i.ScopeMap = nil }, scopes: []string{"files"}, tools: []string{}},
		"no tools claim":       {claims: `"scope":"read"`, change: func(i *Issuer) { i.ToolsClaim = "" }, scopes: []string{"files"}},
		"nothing by default":   {claims: ``, change: func(i *Issuer) { i.DefaultScopes = nil }, scopes: []string{}, tools: []string{}},
		"no scope claim":       {claims: `"scope":"run"`, change: func(i *Issuer) { i.ScopeClaim, i.ScopeMap = "", nil }, scopes: []string{"tools"}, tools: []string{}},
		"null":                 {claims: `"scope":null`, wrong: true},
		"a number":             {claims: `"scope":1`, wrong: true},
		"an object":            {claims: `"scope":{"run":true}`, wrong: true},
		"a list of others":     {claims: `"scope":[1]`, wrong: true},
		"a list in a list":     {claims: `"scope":[["run"]]`, wrong: true},
		"too many":             {claims: `"scope":"` + strings.Repeat("run ", maxWords+1) + `"`, wrong: true},
		"a long one":           {claims: `"scope":["` + strings.Repeat("r", maxWord+1) + `"]`, wrong: true},
		"tools that are none":  {claims: `"may":false`, wrong: true},
		"twice":                {claims: `"scope":"read","scope":"run"`, wrong: true},
	} {
		i := issuer()
		if tt.change != nil {
			tt.change(i)
		}
		text := `{"iss":"https://login.example","aud":"us","sub":"ann","exp":2000,"org":"acme"`
		if tt.claims != "" {
			text += "," + tt.claims
		}
		c, err := readClaims([]byte(text + "}"))
		var got *identity.Principal
		if err == nil {
			got, err = i.principal(c, known(), now)
		}
		if (err != nil) != tt.wrong {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && (!cmp.Equal(got.Scopes, tt.scopes) || !cmp.Equal(got.Tools, tt.tools)) {
			t.Errorf("%s: scopes %#v, tools %#v", name, got.Scopes, got.Tools)
		}
	}
}

// FuzzClaims: whatever an issuer signs, whom it lets in is of a tenant, has an end, and may do no more than
// there is.
func FuzzClaims(f *testing.F) {
	f.Add([]byte(`{"iss":"https://login.example","aud":["us"],"sub":"ann","exp":2000,"org":"acme","scope":"run","may":["file_read"]}`))
	f.Add([]byte(`{"iss":"https://login.example","aud":"us","sub":"a","exp":1e9,"nbf":-1,"org":"a-b"}`))
	f.Add([]byte(`{"exp":"1","scope":[[]],"sub":{}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		now := time.Unix(1000, 0)
		c, err := readClaims(payload)
		if err != nil {
			return
		}
		p, err := issuer().principal(c, known(), now)
		if err != nil {
			if p != nil {
				t.Error("somebody beside an error")
			}
			return
		}
		if identity.CheckTenant(p.Tenant) != nil || !p.Expires.After(now) || p.Key != identity.Vouched || len(p.ID) > 300 || !plain(p.ID) ||
			p.Scopes == nil || p.Tools == nil || p.Lacks(p.Scopes) != "" {
			t.Errorf("%+v", p)
		}
		for _, scope := range p.Scopes {
			if !cmp.Equal(within([]string{scope}, known().Scopes), []string{scope}) {
				t.Errorf("scope %q", scope)
			}
		}
		var all map[string]any
		if json.Unmarshal(payload, &all) != nil {
			t.Error("claims that are no JSON")
		}
	})
}

func TestIssuersThatAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Issuer){
		"no URL":               func(i *Issuer) { i.URL = "" },
		"http":                 func(i *Issuer) { i.URL = "http://login.example" },
		"another scheme":       func(i *Issuer) { i.URL = "ftp://login.example" },
		"a password":           func(i *Issuer) { i.URL = "https://a:b@login.example" },
		"a query":              func(i *Issuer) { i.URL = "https://login.example?x" },
		"a fragment":           func(i *Issuer) { i.URL = "https://login.example#" },
		"no audience":          func(i *Issuer) { i.Audience = "" },
		"none":                 func(i *Issuer) { i.Algorithms = []string{"none"} },
		"HS256":                func(i *Issuer) { i.Algorithms = []string{"RS256", "HS256"} },
		"no tenant":            func(i *Issuer) { i.TenantClaim = "" },
		"two tenants":          func(i *Issuer) { i.Tenant = "acme" },
		"a tenant with spaces": func(i *Issuer) { i.TenantClaim, i.Tenant = "", "A C" },
		"tenants of no claim":  func(i *Issuer) { i.TenantClaim, i.Tenant, i.Tenants = "", "acme", []string{"acme"} },
		"a listed tenant":      func(i *Issuer) { i.Tenants = []string{"A"} },
		"a map of no claim":    func(i *Issuer) { i.ScopeClaim = "" },
		"nothing to do":        func(i *Issuer) { i.ScopeClaim, i.ScopeMap, i.DefaultScopes = "", nil, nil },
		"an unknown scope":     func(i *Issuer) { i.DefaultScopes = []string{"root"} },
		"an unknown one meant": func(i *Issuer) { i.ScopeMap["x"] = []string{"root"} },
		"a long list":          func(i *Issuer) { i.Tenants = strings.Split(strings.Repeat("a,", maxListed)+"a", ",") },
	} {
		i := issuer()
		change(i)
		if err := i.Check(known()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := issuer().Check(known()); err != nil {
		t.Error(err)
	}
	loopback := issuer()
	loopback.URL = "http://127.0.0.1:8080/realms/a"
	if err := loopback.Check(known()); err != nil {
		t.Error(err)
	}
	if err := Check([]Issuer{*issuer(), *issuer()}, known()); err == nil {
		t.Error("one issuer twice was accepted")
	}
	if _, err := New(make([]Issuer, MaxIssuers+1), Options{}); err == nil {
		t.Error("too many issuers were accepted")
	}
}
