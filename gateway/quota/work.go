package quota

// Work is something that ends when its account has nothing left.
type Work struct {
	account *Account
	end     func(cause error)
}

// OnEmpty has end called, once and with an [*Exceeded], when something is used up while the work goes
// on. Done must be called afterwards.
func (a *Account) OnEmpty(end func(cause error)) *Work {
	w := &Work{account: a, end: end}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stops[w] = struct{}{}
	return w
}

// Done tells that the work has ended.
func (w *Work) Done() {
	w.account.mu.Lock()
	defer w.account.mu.Unlock()
	delete(w.account.stops, w)
}

// enforce ends what runs where nothing is left.
func (a *Account) enforce() {
	err := a.CheckRunning()
	if err == nil {
		return
	}
	a.mu.Lock()
	stops := a.stops
	a.stops = map[*Work]struct{}{}
	a.mu.Unlock()
	for w := range stops {
		w.end(err)
	}
}
