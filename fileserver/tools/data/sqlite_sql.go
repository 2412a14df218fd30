package data

import "strings"

// sqlTokens cuts a statement into names, literals and characters. Comments are left out.
func sqlTokens(statement string) []string {
	var tokens []string
	for at := 0; at < len(statement); {
		size := sqlToken(statement[at:])
		token := statement[at : at+size]
		if strings.TrimSpace(token) != "" && !strings.HasPrefix(token, "--") && !strings.HasPrefix(token, "/*") {
			tokens = append(tokens, token)
		}
		at += size
	}
	return tokens
}

// sqlToken returns the length of what a text begins with.
func sqlToken(text string) int {
	until := func(end string, from int) int {
		if i := strings.Index(text[from:], end); i >= 0 {
			return from + i + len(end)
		}
		return len(text)
	}
	switch c := text[0]; {
	case strings.HasPrefix(text, "--"):
		return until("\n", 2)
	case strings.HasPrefix(text, "/*"):
		return until("*/", 2)
	case c == '[':
		return until("]", 1)
	case c == '\'' || c == '"' || c == '`':
		end := until(string(c), 1)
		for end < len(text) && text[end] == c { // a quote that is doubled
			end = until(string(c), end+1)
		}
		return end
	}
	n := 0
	for n < len(text) && isSQLWord(text[n]) {
		n++
	}
	return max(n, 1)
}

func isSQLWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == '$' || c == '.' || c >= 0x80
}

// unquoteSQL returns the name or text that a token is.
func unquoteSQL(token string) string {
	if len(token) < 2 {
		return token
	}
	switch c := token[0]; c {
	case '[':
		return strings.Trim(token, "[]")
	case '"', '\'', '`':
		quote := string(c)
		return strings.ReplaceAll(strings.TrimSuffix(token[1:], quote), quote+quote, quote)
	}
	return token
}
