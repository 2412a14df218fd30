package fileurl

import "strings"

// maxShownName bounds a file's name in a header, in bytes. Linux has no longer ones.
const maxShownName = 255

// disposition returns the Content-Disposition (RFC 6266) with which a file is saved and never shown. The
// name is the sandbox's to choose, so that only what is plain in every client is written as it is; all of
// it follows, encoded as RFC 5987 has it, where that differs.
func disposition(name string) string {
	if name == "" {
		return "attachment"
	}
	name = strings.ToValidUTF8(name[:min(len(name), maxShownName)], "_")
	plain := strings.Map(func(r rune) rune {
		if isPlain(r) || r == ' ' {
			return r
		}
		return '_'
	}, name)
	value := `attachment; filename="` + plain + `"`
	if plain != name {
		value += "; filename*=UTF-8''" + percentEncoded(name)
	}
	return value
}

// percentEncoded writes every byte as %XX that is not plain.
func percentEncoded(text string) string {
	const digits = "0123456789ABCDEF"
	var out strings.Builder
	for _, c := range []byte(text) {
		if isPlain(rune(c)) {
			out.WriteByte(c)
		} else {
			out.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return out.String()
}

// isPlain tells whether a letter means itself in every part of a header.
func isPlain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
}
