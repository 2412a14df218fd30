package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	probeEvery = 5 * time.Millisecond
	maxPage    = 1 << 20
)

// ErrEnded is wrapped where the gateway ended that was waited for.
var ErrEnded = errors.New("the gateway has ended")

// Await asks again and again until the gateway is as wanted, and returns how long that took. It fails
// when the gateway ends or the time is up.
func (g *Gateway) Await(ctx context.Context, what string, limit time.Duration, reached func(ctx context.Context) bool) (time.Duration, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the gateway did not %s in %s\n%s", what, limit, g.Log()))
	defer cancel()
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for !reached(ctx) {
		select {
		case <-g.Exited():
			return 0, fmt.Errorf("the gateway did not %s: it ended: %w\n%s", what, errors.Join(g.err, ErrEnded), g.Log())
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-ticker.C:
		}
	}
	return time.Since(start), nil
}

// Ready waits until /readyz says so, and returns how long that took.
func (g *Gateway) Ready(ctx context.Context, limit time.Duration) (time.Duration, error) {
	return g.Await(ctx, "get ready", limit, func(ctx context.Context) bool {
		_, err := g.page(ctx, g.URL+"/readyz")
		return err == nil
	})
}

// Gauge returns the value of a series of its metrics.
func (g *Gateway) Gauge(ctx context.Context, series string) (float64, error) {
	page, err := g.page(ctx, "http://"+g.metrics+"/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(page) {
		if text, ok := strings.CutPrefix(line, series+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(text), 64)
		}
	}
	return 0, fmt.Errorf("the metrics have no %s", series)
}

// page fetches a page.
func (g *Gateway) page(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := g.client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }() // only read from
	body, err := io.ReadAll(io.LimitReader(response.Body, maxPage))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s", url, response.Status)
	}
	return string(body), err
}
