package fileurl

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/identity"
)

// Prefix is what the path of every address begins with.
const Prefix = "/files/"

// purpose is what the key of a [Sealer] is derived for, and nothing else.
const purpose = "sandgate file url v1"

// maxSealed bounds the sealed part of an address: a token has 8 KiB at most, and a path 4 KiB, of which
// JSON may make 24, and base64 adds a third.
const maxSealed = 48 << 10

// A Sealer turns grants into addresses and back. Whoever sees an address learns nothing of what is in it,
// and cannot change it. Its methods may be called by any number of goroutines.
type Sealer struct{ box cipher.AEAD }

// NewSealer returns a sealer of a deployment. Gateways with the same pepper know one another's addresses.
func NewSealer(pepper identity.Pepper) (*Sealer, error) {
	key, err := pepper.Derive(purpose)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	box, err := cipher.NewGCMWithRandomNonce(block)
	return &Sealer{box}, err
}

// sealed is a grant as an address holds it.
type sealed struct {
	Session string `json:"s"`
	Path    string `json:"p"`
	Upload  bool   `json:"u,omitempty"`
	Expires int64  `json:"e"` // seconds since 1970
	Token   string `json:"t"`
}

// Seal returns the path of the address for a grant. The address of a download ends in the file's name,
// for clients that take a name from there; it means nothing.
func (s *Sealer) Seal(grant gateway.FileGrant) (string, error) {
	body, err := json.Marshal(sealed{grant.Session, grant.Path, grant.Upload, grant.Expires.Unix(), grant.Token})
	if err != nil {
		return "", err
	}
	box := s.box.Seal(nil, nil, body, []byte(purpose)) //nolint:gosec // it makes a nonce of its own
	address := Prefix + base64.RawURLEncoding.EncodeToString(box)
	if name := nameOf(grant.Path); name != "" && !grant.Upload {
		address += "/" + url.PathEscape(name)
	}
	return address, nil
}

// Open returns what the path of an address grants. False: it is none that this sealer made. Whether the
// grant still holds is for the caller to look at.
func (s *Sealer) Open(address string) (gateway.FileGrant, bool) {
	text, _ := strings.CutPrefix(address, Prefix)
	text, name, _ := strings.Cut(text, "/")
	if len(text) > maxSealed || strings.Contains(name, "/") || strings.ContainsAny(text, "\r\n") { // which the decoder skips
		return gateway.FileGrant{}, false
	}
	box, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return gateway.FileGrant{}, false
	}
	body, err := s.box.Open(nil, nil, box, []byte(purpose))
	var in sealed
	if err != nil || json.Unmarshal(body, &in) != nil {
		return gateway.FileGrant{}, false
	}
	return gateway.FileGrant{Session: in.Session, Path: in.Path, Upload: in.Upload, Expires: time.Unix(in.Expires, 0), Token: in.Token}, true
}

// nameOf returns the last part of a path, empty where that is no name.
func nameOf(file string) string {
	if name := path.Base(file); name != "/" && name != "." && name != ".." {
		return name
	}
	return ""
}
