package gateway

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/quota"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// ReasonQuotaExceeded is that of a call for which its tenant, or its token, has nothing left. It is part
// of the API.
const ReasonQuotaExceeded = "QUOTA_EXCEEDED"

// Places that calls have, by kind, where Options say nothing.
const (
	defaultRunPlaces     = 512
	defaultFilePlaces    = 256
	defaultControlPlaces = 256
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
		return quota.Files
	case sandgatev1connect.ToolServiceName:
		return kindless
	}
	if strings.HasPrefix(procedure, "/sandgate.v1.") {
		return quota.Control
	}
	return kindless
}

// bill is who pays for a call.
type bill struct {
	account *quota.Account // nil: nobody
	tokens  []*quota.Account
}

func (t *turnstile) billOf(p *identity.Principal) bill {
	if t == nil || p == nil || p.Tenant == "" {
		return bill{}
	}
	b := bill{account: t.accounts.Account(p.Tenant)}
	for _, budget := range p.Budgets {
		b.tokens = append(b.tokens, t.accounts.Token(budget.ID, quota.Budget(budget.Budget), budget.Expires))
	}
	return b
}

// check returns an error where something is used up.
func (b bill) check() error {
	if b.account == nil {
		return nil
	}
	err := b.account.Check()
	for _, token := range b.tokens {
		err = cmp.Or(err, token.Check())
	}
	return err
}

// checkOutput returns an error where no more bytes of replies may be had.
func (b bill) checkOutput() error {
	var err error
	b.each(func(account *quota.Account) { err = cmp.Or(err, account.CheckOutput()) })
	if err != nil {
		return quotaError(err)
	}
	return nil
}

// charge counts what was used up.
func (b bill) charge(r quota.Resource, n int64) {
	if b.account == nil {
		return
	}
	b.each(func(account *quota.Account) { account.Charge(r, n) })
}

// bounded tells whether anything can be used up.
func (b bill) bounded() (yes bool) {
	b.each(func(account *quota.Account) { yes = yes || account.Bounded() })
	return yes
}

// each calls do with every account that pays.
func (b bill) each(do func(*quota.Account)) {
	if b.account == nil {
		return
	}
	for _, token := range b.tokens {
		do(token)
	}
	do(b.account)
}

// chargeWork counts what a receipt says, for tokens: what a tenant's sandboxes use is measured from
// outside.
func (b bill) chargeWork(receipt *sandgatev1.Receipt) {
	for _, token := range b.tokens {
		token.Charge(quota.CPU, receipt.GetCpu().AsDuration().Milliseconds())
	}
}

// room returns an error where nothing more may be kept for a tenant.
func (b bill) room() error {
	if b.account == nil {
		return nil
	}
	if err := b.account.Room(quota.Stored); err != nil {
		return quotaError(err)
	}
	return nil
}

// keep counts a result that is kept.
func (b bill) keep(result proto.Message) {
	if b.account != nil {
		b.account.Keep(int64(proto.Size(result)))
	}
}

// writeHeaders tells the caller what is left.
func (b bill) writeHeaders(header http.Header) {
	if b.account == nil {
		return
	}
	b.each(func(account *quota.Account) {
		if policy, left, ok := account.Headers(); ok {
			header.Add(quota.PolicyHeader, policy)
			header.Add(quota.LeftHeader, left)
		}
	})
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

// spendCall counts a call that has its turn. What one token paid is given back where another cannot
// pay: else one that is spent would spend those that it was made of.
func (b bill) spendCall() error {
	for i, token := range b.tokens {
		if err := token.Spend(quota.Calls, 1); err != nil {
			for _, paid := range b.tokens[:i] {
				paid.Refund(quota.Calls, 1)
			}
			return err
		}
	}
	b.account.Charge(quota.Calls, 1)
	return nil
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

// spent returns an error where a call that is served has nothing left to go on with.
func (c *call) spent() error {
	if c == nil {
		return nil
	}
	var err error
	c.bill.each(func(account *quota.Account) { err = cmp.Or(err, account.CheckRunning()) })
	if err != nil {
		return quotaError(err)
	}
	return nil
}

// whyEnded returns why a call's work ended in err: that there was nothing left, if that ended it.
func whyEnded(ctx context.Context, err error) error {
	if exceeded, ok := errors.AsType[*quota.Exceeded](context.Cause(ctx)); ok && err != nil {
		return quotaError(exceeded)
	}
	return err
}

// quotaError maps the errors of the package quota.
func quotaError(err error) error {
	if full, ok := errors.AsType[*quota.Full](err); ok {
		return later(Error(connect.CodeResourceExhausted, ReasonOverloaded, "Nothing was run. Try again then, or with fewer calls at once.", full), full.Retry)
	}
	if exceeded, ok := errors.AsType[*quota.Exceeded](err); ok {
		hint := "Delete a session that is no longer needed, or ask the operator for a higher limit."
		switch {
		case exceeded.Token:
			hint = "This token is spent. Ask whoever made it for another one."
		case exceeded.Retry > 0:
			hint = "Wait until the hour is over, or ask the operator for a higher limit."
		}
		return later(Error(connect.CodeResourceExhausted, ReasonQuotaExceeded, hint, exceeded), exceeded.Retry)
	}
	if errors.Is(err, quota.ErrClosed) {
		return errDraining()
	}
	return wireError(err) // the caller's deadline, or that it left
}

// later says when a call may be made again.
func later(err *connect.Error, after time.Duration) *connect.Error {
	if after <= 0 {
		return err
	}
	seconds := int64(math.Ceil(after.Seconds()))
	said := connect.NewError(err.Code(), errors.Unwrap(err))
	said.Meta().Set("Retry-After", strconv.FormatInt(seconds, 10))
	for _, detail := range err.Details() {
		value, valueErr := detail.Value()
		if known, ok := value.(*sandgatev1.ErrorDetail); ok && valueErr == nil {
			known.RetryAfter = durationpb.New(after.Truncate(time.Millisecond))
			if fresh, freshErr := connect.NewErrorDetail(known); freshErr == nil {
				detail = fresh
			}
		}
		said.AddDetail(detail)
	}
	return said
}

// patience bounds ctx by the deadline that a request asks for, which the protocol layer reads only later.
func patience(ctx context.Context, header http.Header) (context.Context, context.CancelFunc) {
	if timeout, ok := timeoutOf(header); ok {
		return context.WithTimeout(ctx, timeout)
	}
	return ctx, func() {}
}

// timeoutOf reads the timeouts of Connect, in milliseconds, and of gRPC, a number with a unit. One that
// is malformed is the protocol layer's to refuse.
func timeoutOf(header http.Header) (time.Duration, bool) {
	const most = 10 // digits, as Connect's
	if text := header.Get("Connect-Timeout-Ms"); text != "" && len(text) <= most {
		n, err := strconv.ParseInt(text, 10, 64)
		return time.Duration(n) * time.Millisecond, err == nil && n >= 0
	}
	text := header.Get("Grpc-Timeout")
	if len(text) < 2 || len(text) > 9 {
		return 0, false
	}
	unit, ok := map[byte]time.Duration{
		'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
	}[text[len(text)-1]]
	n, err := strconv.ParseInt(text[:len(text)-1], 10, 64)
	if !ok || err != nil || n < 0 || n > math.MaxInt64/int64(unit) { // the longest is for ever
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// payer returns who pays for a call.
func (c *call) payer() bill {
	if c == nil {
		return bill{}
	}
	return c.bill
}

// chargeWork has a token pay for what the last message of a stream says it cost. What says nothing, as it
// was cut off, is taken to have worked for as long as it lasted.
func (c *call) chargeWork(e *rpc, last proto.Message, wall time.Duration) {
	if c == nil || len(c.bill.tokens) == 0 || e.last == nil || kindOf(e.procedure) != quota.Run {
		return
	}
	receipt := &sandgatev1.Receipt{Cpu: durationpb.New(wall)}
	if last != nil {
		result, ok := last.ProtoReflect().Get(e.last).Message().Interface().(interface{ GetReceipt() *sandgatev1.Receipt })
		if !ok {
			return
		}
		receipt = result.GetReceipt()
	}
	c.bill.chargeWork(receipt)
}
