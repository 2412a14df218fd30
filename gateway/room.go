package gateway

import "github.com/sandgate/sandgate/gateway/quota"

// Room is what tenants may have kept for them, as their accounts say. Its methods may be called by any number of
// goroutines.
type Room struct{ accounts Accounts }

// NewRoom returns the room that accounts have.
func NewRoom(accounts Accounts) *Room { return &Room{accounts} }

// Take takes so many bytes more of what a tenant may store. Its error is an RPC error: ResourceExhausted.
func (r *Room) Take(tenant string, bytes int64) error {
	if err := r.accounts.Account(tenant).Reserve(quota.Stored, bytes); err != nil {
		return quotaError(err)
	}
	return nil
}

// Hold takes so many bytes that are there already.
func (r *Room) Hold(tenant string, bytes int64) { r.accounts.Account(tenant).Hold(quota.Stored, bytes) }

// Give gives bytes back.
func (r *Room) Give(tenant string, bytes int64) {
	r.accounts.Account(tenant).Release(quota.Stored, bytes)
}
