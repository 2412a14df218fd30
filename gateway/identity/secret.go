package identity

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"hash/crc32"
	"math/big"
	"strings"
)

// The text of a key: `sgk_` id `_` secret checksum. The id is no secret and names the key in lists;
// the checksum tells a typo from a wrong key without asking anybody, and lets scanners of source
// code know a key when they see one.
const (
	keyPrefix     = "sgk_"
	idBytes       = 10 // 16 characters
	secretBytes   = 32
	secretLength  = 43 // of 256 bits in base 62
	checkLength   = 6  // of 32 bits in base 62
	pepperPurpose = "sandgate key v1"
)

// A Pepper is what keys are hashed and tokens are signed with. Whoever has the database but not the
// pepper can neither guess a key nor make a token.
type Pepper []byte

// NewPepper returns 32 random bytes.
func NewPepper() Pepper {
	pepper := make(Pepper, sha256.Size)
	_, _ = rand.Read(pepper) // never fails
	return pepper
}

// hash returns what is kept of a key's secret. The secret has 256 random bits, so that a quick hash
// does: there is nothing to guess.
func (p Pepper) hash(id, secret string) []byte {
	return p.sign(pepperPurpose, id+"_"+secret)
}

// sign authenticates a text for one purpose.
func (p Pepper) sign(purpose, text string) []byte {
	mac := hmac.New(sha256.New, p)
	_, _ = mac.Write([]byte(purpose + "\x00" + text)) // a hash never fails
	return mac.Sum(nil)
}

// Derive returns 32 bytes for one purpose. They tell neither the pepper nor what it gives for another.
func (p Pepper) Derive(purpose string) ([]byte, error) {
	return hkdf.Key(sha256.New, p, nil, purpose, sha256.Size)
}

// newSecret makes the id and the secret of a key, and the text that its holder gets.
func newSecret() (id, secret, text string) {
	var raw [idBytes + secretBytes]byte
	_, _ = rand.Read(raw[:]) // never fails
	id = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding).EncodeToString(raw[:idBytes])
	secret = base62(raw[idBytes:], secretLength)
	body := keyPrefix + id + "_" + secret
	return id, secret, body + checksum(body)
}

// parseKey takes the text of a key apart. False: it is not the whole of one.
func parseKey(text string) (id, secret string, ok bool) {
	if len(text) < checkLength || len(text) > 2*(idBytes*2+secretLength) {
		return "", "", false
	}
	body, check := text[:len(text)-checkLength], text[len(text)-checkLength:]
	rest, ok := strings.CutPrefix(body, keyPrefix)
	if !ok || checksum(body) != check {
		return "", "", false
	}
	id, secret, ok = strings.Cut(rest, "_")
	return id, secret, ok && id != "" && len(secret) == secretLength
}

// checksum returns the CRC-32 (IEEE) of a text in base 62.
func checksum(text string) string {
	return base62(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(text))), checkLength)
}

// base62 writes bytes as a number in the digits 0-9, A-Z, a-z, padded with zeros.
func base62(raw []byte, length int) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	n, base, digit := new(big.Int).SetBytes(raw), big.NewInt(int64(len(digits))), new(big.Int)
	text := make([]byte, length)
	for i := length - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		text[i] = digits[digit.Int64()]
	}
	return string(text)
}
