package quota

import (
	"sync"
	"time"
)

// Free are accounts without limits, of a gateway that keeps no ledger. Its methods may be called by any
// number of goroutines.
type Free struct {
	mu       sync.Mutex
	accounts map[string]*Account // guarded by mu
}

// NewFree returns accounts without limits.
func NewFree() *Free { return &Free{accounts: map[string]*Account{}} }

// Account returns the account of a tenant.
func (f *Free) Account(tenant string) *Account {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.accounts[tenant] == nil {
		f.accounts[tenant] = newAccount(tenant, &Limits{})
	}
	return f.accounts[tenant]
}

// Token returns an account of a token, which is forgotten with the call: its budget is not kept either.
func (f *Free) Token(id string, _ Budget, _ time.Time) *Account {
	return newAccount(tokenPrefix+id, &Limits{})
}
