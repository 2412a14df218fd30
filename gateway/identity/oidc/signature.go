package oidc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"github.com/sandgate/sandgate/gateway/identity"
)

// awayKey is the key in a context of where VerifySignature says that an issuer is away: its own errors
// arrive without what they wrap.
type awayKey struct{}

// VerifySignature is what the checker asks for the keys. It returns what they have signed.
func (t *trusted) VerifySignature(ctx context.Context, text string) ([]byte, error) {
	algorithms := make([]jose.SignatureAlgorithm, 0, len(t.Algorithms))
	for _, algorithm := range t.Algorithms {
		algorithms = append(algorithms, jose.SignatureAlgorithm(algorithm))
	}
	token, err := jose.ParseSignedCompact(text, algorithms)
	if err != nil {
		return nil, err
	}
	header := token.Signatures[0].Protected
	if err := checkHeader(text); err != nil {
		return nil, err
	}
	found, err := t.keys.find(ctx, header.KeyID)
	if away, ok := ctx.Value(awayKey{}).(*error); ok && errors.Is(err, identity.ErrAway) {
		*away = err
	}
	if err != nil {
		return nil, err
	}
	for _, key := range found {
		if key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		if payload, err := token.Verify(key.Key); err == nil {
			return payload, nil
		}
	}
	return nil, errors.New("no key of the issuer's has signed it")
}

// checkHeader refuses a token that brings or names keys of its own, and one that is made for something
// else than access.
func checkHeader(text string) error {
	first, _, _ := strings.Cut(text, ".")
	var header map[string]json.RawMessage
	if err := decode(first, &header); err != nil {
		return err
	}
	for _, name := range []string{"jku", "jwk", "x5u", "x5c", "crit"} {
		if _, has := header[name]; has {
			return fmt.Errorf("its header has %s", name)
		}
	}
	raw, has := header["typ"]
	if !has {
		return nil
	}
	var kind string
	if err := json.Unmarshal(raw, &kind); err != nil {
		return errors.New("its header has a typ that is no text")
	}
	kind = strings.TrimPrefix(strings.ToLower(kind), "application/")
	if !slices.Contains([]string{"jwt", "at+jwt"}, kind) {
		return errors.New("it is a token of another type")
	}
	return nil
}
