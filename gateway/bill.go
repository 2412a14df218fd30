package gateway

import (
	"cmp"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/quota"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

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

// charge counts what was used up.
func (b bill) charge(r quota.Resource, n int64) {
	if b.account == nil {
		return
	}
	b.each(func(account *quota.Account) { account.Charge(r, n) })
}

// chargeWork counts what a receipt says, for tokens: what a tenant's sandboxes use is measured from
// outside.
func (b bill) chargeWork(receipt *sandgatev1.Receipt) {
	for _, token := range b.tokens {
		token.Charge(quota.CPU, receipt.GetCpu().AsDuration().Milliseconds())
	}
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

// payer returns who pays for a call.
func (c *call) payer() bill {
	if c == nil {
		return bill{}
	}
	return c.bill
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
