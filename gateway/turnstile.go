package gateway

import (
	"context"
	"strings"
	"time"

	"github.com/sandgate/sandgate/gateway/quota"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// Places that calls have, by kind, where Options say nothing.
const (
	defaultRunPlaces     = 512
	defaultFilePlaces    = 256
	defaultControlPlaces = 256
	// defaultDocumentPlaces are few, as each may take 600 MiB of the gateway's own memory.
	defaultDocumentPlaces = 4
)

// Accounts have what tenants use. *quota.Ledger is one.
type Accounts interface {
	// Account returns the account of a tenant.
	Account(tenant string) *quota.Account
	// Token returns that of a token.
	Token(id string, budget quota.Budget, expires time.Time) *quota.Account
}

// turnstile decides when a call is served, and whether its tenant has anything left.
type turnstile struct {
	turns    *quota.Turns
	accounts Accounts
}

// kindless is the kind of what waits for nobody: health, reflection, and calls of tools by name, which
// wait once it is known what they call.
const kindless quota.Kind = -1

// kindOf tells which places an RPC needs.
func kindOf(procedure string) quota.Kind {
	switch service(procedure) {
	case sandgatev1connect.PythonServiceName, sandgatev1connect.ProcessServiceName:
		return quota.Run
	case sandgatev1connect.FileServiceName:
		switch procedure {
		case sandgatev1connect.FileServiceReadDocumentProcedure,
			sandgatev1connect.FileServiceArchiveProcedure, sandgatev1connect.FileServiceExtractProcedure:
			return quota.Documents
		}
		return quota.Files
	case sandgatev1connect.WorkspaceServiceName:
		return quota.Files
	case sandgatev1connect.ToolServiceName:
		return kindless
	}
	if strings.HasPrefix(procedure, "/sandgate.v1.") {
		return quota.Control
	}
	return kindless
}

// ticket is a call's right to be served. It is left once. A nil ticket is one that nothing was needed for.
type ticket struct {
	place quota.Place
	kind  quota.Kind
	bill  bill
	works []*quota.Work
	end   context.CancelFunc
}

// enter waits for a call's turn. Code and files need something left to pay with; what shows and ends
// things is always served.
func (t *turnstile) enter(ctx context.Context, b bill, kind quota.Kind) (*ticket, error) {
	if t == nil || kind == kindless || b.account == nil {
		return nil, nil //nolint:nilnil // nothing is needed
	}
	if err := ctx.Err(); err != nil { // nobody will see what it does
		return nil, wireError(err)
	}
	if kind != quota.Control {
		if err := b.check(); err != nil {
			return nil, quotaError(err)
		}
	}
	place, err := t.turns.Enter(ctx, b.account, kind)
	if err != nil {
		return nil, quotaError(err)
	}
	if kind != quota.Control {
		if err := b.spendCall(); err != nil {
			place.Leave()
			return nil, quotaError(err)
		}
	}
	return &ticket{place: place, bill: b, kind: kind}, nil
}

// bind returns a ctx that ends when there is nothing left to pay with. What shows and ends things goes on.
func (p *ticket) bind(ctx context.Context) context.Context {
	if p == nil || p.kind == quota.Control || p.bill.account == nil || !p.bill.bounded() {
		return ctx
	}
	within, cancel := context.WithCancelCause(ctx)
	p.end = func() { cancel(nil) }
	p.bill.each(func(account *quota.Account) { p.works = append(p.works, account.OnEmpty(cancel)) })
	return within
}

// leave gives the place to the next call.
func (p *ticket) leave() {
	if p == nil {
		return
	}
	for _, work := range p.works {
		work.Done()
	}
	if p.end != nil {
		p.end()
	}
	p.place.Leave()
}
