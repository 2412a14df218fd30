package telemetry

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

// complainEvery is how often the same kind of trouble is told: a collector that is down fails every
// batch.
const complainEvery = time.Minute

// maxComplaint bounds what is told, as it may quote what a collector answered.
const maxComplaint = 1 << 10

// complaints takes what OpenTelemetry's SDK reports into the log.
type complaints struct {
	log *slog.Logger

	mu     sync.Mutex
	told   time.Time // guarded by mu
	untold int       // since then; guarded by mu
}

// Handle takes an error of the SDK: usually, that spans could not be sent.
func (c *complaints) Handle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.told.IsZero() && time.Since(c.told) < complainEvery {
		c.untold++
		return
	}
	text := err.Error()
	c.log.Warn("trouble with traces", "err", strings.ToValidUTF8(text[:min(len(text), maxComplaint)], ""), "not_logged", c.untold)
	c.told, c.untold = time.Now(), 0
}

// logger is where the SDK says that it does not understand a variable.
func (c *complaints) logger() logr.Logger { return logr.New(sink{c.log}) }

// sink is a logr.LogSink that passes the messages on and drops what they are about: that may be a
// header with a key of the collector's.
type sink struct{ log *slog.Logger }

// Init does nothing.
func (sink) Init(logr.RuntimeInfo) {}

// Enabled lets errors through only, which ask for no level.
func (sink) Enabled(int) bool { return false }

// Info is not reached.
func (sink) Info(int, string, ...any) {}

// Error logs the message alone.
func (s sink) Error(_ error, message string, _ ...any) {
	s.log.Warn("an OTEL_ variable is not understood and not used", "what", message)
}

// WithValues drops the values.
func (s sink) WithValues(...any) logr.LogSink { return s }

// WithName drops the name.
func (s sink) WithName(string) logr.LogSink { return s }
