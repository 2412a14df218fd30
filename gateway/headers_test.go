package gateway

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// TestHeadersOfHTTP1 sends requests as nobody's library would write them. Each has one of the outcomes
// that the table allows; 0 is a closed connection.
func TestHeadersOfHTTP1(t *testing.T) {
	const line, host, kind = "POST /sandgate.v1.ToolService/ListTools HTTP/1.1\r\n", "Host: localhost\r\n", "Content-Type: application/json\r\n"
	const length, end = "Content-Length: 2\r\n", "\r\n{}"
	bad := []int{http.StatusBadRequest}
	for name, test := range map[string]struct {
		request string
		want    []int
	}{
		"well":                     {line + host + kind + length + end, []int{200}},
		"10,000 headers":           {line + host + kind + length + strings.Repeat("X-A: b\r\n", 10_000) + end, []int{431}},
		"a header of 1 MiB":        {line + host + kind + length + "X-A: " + strings.Repeat("b", 1<<20) + "\r\n" + end, []int{431}},
		"a name of 1 MiB":          {line + host + kind + length + strings.Repeat("b", 1<<20) + ": x\r\n" + end, []int{431}},
		"a path of 1 MiB":          {"GET /" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\n" + host + "\r\n", []int{431, 414}},
		"a method of 1 MiB":        {strings.Repeat("A", 1<<20) + " / HTTP/1.1\r\n" + host + "\r\n", []int{431, 400}},
		"two lengths":              {line + host + kind + length + "Content-Length: 40\r\n" + end, bad},
		"the same length twice":    {line + host + kind + length + length + end, []int{200, 400}},
		"a negative length":        {line + host + kind + "Content-Length: -1\r\n" + end, bad},
		"a length with a sign":     {line + host + kind + "Content-Length: +2\r\n" + end, bad},
		"a length that overflows":  {line + host + kind + "Content-Length: 99999999999999999999\r\n" + end, bad},
		"length and chunks":        {line + host + kind + length + "Transfer-Encoding: chunked\r\n" + end, append(bad, 0, 504)}, // it waits for the rest of a chunk
		"chunks of an odd name":    {line + host + kind + "Transfer-Encoding: xchunked\r\n" + end, []int{501, 400}},
		"chunks twice":             {line + host + kind + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n" + end, []int{501, 400}},
		"chunks and then gzip":     {line + host + kind + "Transfer-Encoding: chunked, gzip\r\n" + end, []int{501, 400}},
		"a space before the colon": {line + host + kind + length + "Transfer-Encoding : chunked\r\n" + end, bad},
		"a folded header":          {line + host + kind + length + "X-A: b\r\n\tc\r\n" + end, []int{200, 400}},
		"a folded length":          {line + host + kind + "Content-Length:\r\n 2\r\n" + end, []int{200, 400}},
		"a bare CR":                {line + host + kind + length + "X-A: b\rTransfer-Encoding: chunked\r\n" + end, bad},
		"a NUL":                    {line + host + kind + length + "X-A: \x00\r\n" + end, bad},
		"no name":                  {line + host + kind + length + ": x\r\n" + end, bad},
		"two types":                {line + host + kind + "Content-Type: text/plain\r\n" + length + end, []int{200, 415}},
		"two types, wrong first":   {line + host + "Content-Type: text/plain\r\n" + kind + length + end, []int{415}},
		"no host":                  {line + kind + length + end, bad},
		"two hosts":                {line + host + "Host: evil.example\r\n" + kind + length + end, bad},
		"an odd host":              {line + "Host: local host\r\n" + kind + length + end, bad},
		"another's host":           {line + "Host: evil.example\r\n" + kind + length + end, []int{403}},
		"an absolute URL":          {"POST http://evil.example/sandgate.v1.ToolService/ListTools HTTP/1.1\r\n" + host + kind + length + end, []int{403}},
		"a forwarded host":         {line + "Host: evil.example\r\nX-Forwarded-Host: localhost\r\nForwarded: host=localhost\r\nX-Forwarded-For: 127.0.0.1\r\n" + kind + length + end, []int{403}},
		"a method in a header":     {"GET /sandgate.v1.ToolService/ListTools HTTP/1.1\r\nX-HTTP-Method-Override: POST\r\n" + host + kind + length + end, []int{415, 405}},
		"a path in a header":       {"POST /livez HTTP/1.1\r\nX-Original-URL: /metrics\r\nX-Rewrite-URL: /metrics\r\n" + host + kind + length + end, []int{405}},
		"CONNECT":                  {"CONNECT localhost:22 HTTP/1.1\r\n" + host + "\r\n", []int{404, 400}},
		"an asterisk":              {"OPTIONS * HTTP/1.1\r\n" + host + "\r\n", []int{200, 404, 400}},
		"a TRACE":                  {"TRACE / HTTP/1.1\r\n" + host + "X-Secret: s\r\n\r\n", []int{404, 405}},
		"HTTP/1.0":                 {"POST /sandgate.v1.ToolService/ListTools HTTP/1.0\r\n" + host + kind + length + end, []int{200, 505}},
		"HTTP/0.9":                 {"GET /\r\n\r\n", bad},
		"HTTP/3.0":                 {"GET / HTTP/3.0\r\n" + host + "\r\n", []int{505, 400}},
		"an upgrade":               {line + host + kind + length + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n" + end, []int{200}},
		"an expectation":           {line + host + kind + length + "Expect: 200-ok\r\n" + end, []int{417, 200}},
		"TLS":                      {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", append(bad, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			overPipes(t, nil, func(g *piped) {
				t := g.t
				conn := g.dial(t)
				if got := exchange(conn, test.request); !slices.Contains(test.want, got) {
					t.Errorf("%d, want one of %v", got, test.want)
				}
				_ = conn.Close()
				g.serves(t)
				synctest.Wait()
				if n := g.server.admission.unsettled(); n != 0 {
					t.Errorf("%d calls are left", n)
				}
			})
		})
	}
}

// TestSmuggledRequests hides a second request behind a first one whose length two programs may read in
// two ways. It is answered by nobody. (With both a length and chunks, chunks count, as RFC 9112 has it.)
func TestSmuggledRequests(t *testing.T) {
	const line = "POST /sandgate.v1.ToolService/ListTools HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	const hidden = line + "Sandgate-Request-Id: smuggled\r\nContent-Length: 2\r\n\r\n{}"
	for name, headers := range map[string]string{
		"TE.TE":        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
		"CL.CL":        "Content-Length: 5\r\nContent-Length: 100\r\n",
		"a list of CL": "Content-Length: 5, 100\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			overPipes(t, nil, func(g *piped) {
				t := g.t
				conn := g.dial(t)
				_ = exchange(conn, line+headers+"\r\n0\r\n\r\n"+hidden)
				synctest.Wait()
				_ = conn.Close()
				synctest.Wait()
				if strings.Contains(g.log.String(), "smuggled") {
					t.Errorf("it was served:\n%s", g.log)
				}
			})
		})
	}
}
