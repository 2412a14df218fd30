package identity

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
)

// The text of a token: `sgt_` claims `.` signature, both in unpadded base64 for URLs. The claims are
// JSON and no secret.
const (
	tokenPrefix  = "sgt_"
	tokenPurpose = "sandgate token v1"
	maxToken     = 8 << 10
)

// Bounds of a token's life.
const (
	// DefaultTokenLife is that of a token whose maker does not say.
	DefaultTokenLife = 15 * time.Minute
	// MaxTokenLife is the longest of one that is handed out as it is.
	MaxTokenLife = 24 * time.Hour
)

// claims are what a token says. A list that is left out does not restrict.
type claims struct {
	ID      string    `json:"id"`
	Key     string    `json:"key,omitempty"`
	Subject string    `json:"sub,omitempty"`
	Tenant  string    `json:"tenant"`
	Session string    `json:"session,omitempty"`
	Scopes  *[]string `json:"scopes,omitempty"`
	Tools   *[]string `json:"tools,omitempty"`
	Expires int64     `json:"exp"` // seconds since 1970
	// Budgets are the token's own and those of the tokens that it was made of.
	Budgets []spending `json:"budgets,omitempty"`
}

// spending is a budget as a token writes it.
type spending struct {
	ID          string `json:"id"`
	Expires     int64  `json:"exp"`
	Calls       int64  `json:"calls,omitempty"`
	CPUSeconds  int64  `json:"cpu_seconds,omitempty"`
	OutputBytes int64  `json:"output_bytes,omitempty"`
}

// maxBudgets bounds how many tokens with budgets are made of one another.
const maxBudgets = 8

// Narrow says what a token is for. It is always within what its maker may do.
type Narrow struct {
	// Session is the only session it is for. Empty: those of its maker.
	Session string
	// Scopes and Tools bound it. Empty: those of its maker.
	Scopes, Tools []string
	// Budget is what may be used with it, and with those that are made of it.
	Budget Budget
	// Life is how long it lasts, at most Longest. Zero: [DefaultTokenLife]. It ends with its maker in
	// any case.
	Life time.Duration
	// Longest bounds Life. Zero: [MaxTokenLife].
	Longest time.Duration
}

// ErrWider is returned where somebody asks for a token that may do more than they may.
var ErrWider = errors.New("a token can only do less than who makes it, and this one asks for more")

// ErrDeep is returned for a token that has the budgets of too many others.
var ErrDeep = errors.New("it would be made of too many tokens with budgets of their own")

// NewToken makes a token that may do what maker may, and no more than narrow says.
func NewToken(pepper Pepper, maker *Principal, narrow Narrow, now time.Time) (text string, made *Principal, err error) {
	if narrow.Life == 0 {
		narrow.Life = DefaultTokenLife
	}
	longest := cmp.Or(narrow.Longest, MaxTokenLife)
	p := &Principal{
		Tenant:  maker.Tenant,
		ID:      "tok_" + rand.Text()[:16],
		Scopes:  narrowed(maker.Scopes, unrestricted(narrow.Scopes)),
		Tools:   narrowed(maker.Tools, unrestricted(narrow.Tools)),
		Session: maker.Session,
		Expires: earlier(maker.Expires, now.Add(min(narrow.Life, longest)).Truncate(time.Second)),
		Key:     maker.Key,
		Subject: maker.Subject,
	}
	if narrow.Session != "" {
		p.Session = narrow.Session
	}
	p.Budgets = slices.Clip(maker.Budgets)
	if narrow.Budget != (Budget{}) {
		p.Budgets = append(p.Budgets, Spending{ID: p.ID, Expires: p.Expires, Budget: narrow.Budget})
	}
	if len(p.Budgets) > maxBudgets {
		return "", nil, ErrDeep
	}
	p.Scopes = slices.DeleteFunc(p.Scopes, func(scope string) bool { return !maker.holds(scope) })
	wider := !maker.Sees(p.Session) || len(p.Scopes) < len(narrow.Scopes) || len(p.Tools) < len(narrow.Tools)
	if wider {
		return "", nil, ErrWider
	}
	text, err = sign(pepper, p)
	return text, p, err
}

// sign writes a token.
func sign(pepper Pepper, p *Principal) (string, error) {
	body, err := json.Marshal(claims{
		ID: p.ID, Key: p.Key, Subject: p.Subject, Tenant: p.Tenant, Session: p.Session,
		Scopes: listed(p.Scopes), Tools: listed(p.Tools), Expires: p.Expires.Unix(), Budgets: written(p.Budgets),
	})
	if err != nil {
		return "", err
	}
	encoded := base64.RawURLEncoding.EncodeToString(body)
	return tokenPrefix + encoded + "." + base64.RawURLEncoding.EncodeToString(pepper.sign(tokenPurpose, encoded)), nil
}

// readToken returns what a token says, if this gateway made it. Whether it still holds is for the
// caller to look at.
func readToken(pepper Pepper, text string) (*Principal, bool) {
	if len(text) > maxToken {
		return nil, false
	}
	encoded, signature, _ := strings.Cut(strings.TrimPrefix(text, tokenPrefix), ".")
	mac, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || !hmac.Equal(mac, pepper.sign(tokenPurpose, encoded)) {
		return nil, false
	}
	var c claims
	body, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || json.Unmarshal(body, &c) != nil || c.Tenant == "" {
		return nil, false
	}
	p := &Principal{Tenant: c.Tenant, ID: c.ID, Session: c.Session, Key: c.Key, Subject: c.Subject, Expires: time.Unix(c.Expires, 0)}
	for _, b := range c.Budgets {
		p.Budgets = append(p.Budgets, Spending{
			ID: b.ID, Expires: time.Unix(b.Expires, 0), Budget: Budget{Calls: b.Calls, CPUSeconds: b.CPUSeconds, OutputBytes: b.OutputBytes},
		})
	}
	if c.Scopes != nil {
		p.Scopes = append([]string{}, *c.Scopes...)
	}
	if c.Tools != nil {
		p.Tools = append([]string{}, *c.Tools...)
	}
	return p, true
}

// written returns budgets as a token writes them.
func written(budgets []Spending) []spending {
	var all []spending
	for _, b := range budgets {
		all = append(all, spending{b.ID, b.Expires.Unix(), b.Budget.Calls, b.Budget.CPUSeconds, b.Budget.OutputBytes})
	}
	return all
}

// unrestricted returns nil for an empty list, which is how an operator or a caller writes "all".
func unrestricted(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return list
}

func listed(list []string) *[]string {
	if list == nil {
		return nil
	}
	return &list
}
