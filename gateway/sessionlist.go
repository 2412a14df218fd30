package gateway

import (
	"cmp"
	"context"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway/identity"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// defaultPage is how many sessions a page holds when nothing is asked for.
const defaultPage = 100

// place is where a session stands in the list: by age, then by id.
type place struct {
	created int64 // nanoseconds since 1970
	id      string
}

func placeOf(sess *session) place { return place{created: sess.created.UnixNano(), id: sess.id} }

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.created, q.created), cmp.Compare(p.id, q.id))
}

// token and parsePlace write a place as a page token and read it back. The token means nothing to
// callers and nothing is looked up by it, so a forged one does no harm.
func (p place) token() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(p.created, 36) + ":" + p.id))
}

func parsePlace(token string) (place, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return place{}, false
	}
	created, id, ok := strings.Cut(string(raw), ":")
	if !ok {
		return place{}, false
	}
	n, err := strconv.ParseInt(created, 36, 64)
	return place{created: n, id: id}, err == nil
}

func (s *Sessions) listSessions(ctx context.Context, req *sandgatev1.ListSessionsRequest) (*sandgatev1.ListSessionsResponse, error) {
	after := place{created: -1 << 63}
	if token := req.GetPageToken(); token != "" {
		var ok bool
		if after, ok = parsePlace(token); !ok {
			return nil, Errorf(connect.CodeInvalidArgument, ReasonInvalidArgument,
				"Pass the next_page_token of the page before, or none.", "page_token is not one that this gateway gave")
		}
	}
	size := int(req.GetPageSize())
	if size == 0 {
		size = defaultPage
	}
	found := s.seen(principalOf(ctx), req.GetMetadata(), after)
	out := &sandgatev1.ListSessionsResponse{}
	if len(found) > size {
		found = found[:size]
		out.NextPageToken = placeOf(found[size-1]).token()
	}
	for _, sess := range found {
		out.Sessions = append(out.Sessions, s.describe(sess))
	}
	return out, nil
}

// seen returns the sessions that somebody may use, that carry all the given labels and stand after a
// place, oldest first.
func (s *Sessions) seen(p *identity.Principal, labels map[string]string, after place) []*session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []*session
	for _, sess := range s.all {
		if !sess.ending && sess.tenant == p.Tenant && p.Sees(sess.id) && carries(sess.metadata, labels) && placeOf(sess).compare(after) > 0 {
			found = append(found, sess)
		}
	}
	slices.SortFunc(found, func(a, b *session) int { return placeOf(a).compare(placeOf(b)) })
	return found
}

func carries(metadata, labels map[string]string) bool {
	for key, value := range labels {
		if got, ok := metadata[key]; !ok || got != value {
			return false
		}
	}
	return true
}
