package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sandgate/sandgate/sandbox"
)

// ParseSize reads a size in bytes: a whole number, or a number with KiB, MiB, GiB or TiB behind
// it (K, M, G and T mean the same). Negative sizes are refused.
func ParseSize(text string) (int64, error) {
	upper := strings.ToUpper(strings.TrimSpace(text))
	upper = strings.TrimSuffix(strings.TrimSuffix(upper, "B"), "I")
	unit := int64(1)
	for suffix, bytes := range map[string]int64{"K": sandbox.KiB, "M": sandbox.MiB, "G": sandbox.GiB, "T": 1024 * sandbox.GiB} {
		if rest, ok := strings.CutSuffix(upper, suffix); ok {
			upper, unit = rest, bytes
			break
		}
	}
	number, err := strconv.ParseFloat(strings.TrimSpace(upper), 64)
	bytes := number * float64(unit)
	if err != nil || !(bytes >= 0 && bytes < math.MaxInt64) || bytes != math.Trunc(bytes) {
		return 0, fmt.Errorf("%q is not a size such as 512MiB or 1GiB", text)
	}
	return int64(bytes), nil
}

// FormatSize writes a size so that [ParseSize] reads the same number back.
func FormatSize(bytes int64) string {
	for _, unit := range []struct {
		name  string
		bytes int64
	}{{"GiB", sandbox.GiB}, {"MiB", sandbox.MiB}, {"KiB", sandbox.KiB}} {
		if bytes >= unit.bytes && bytes%unit.bytes == 0 {
			return strconv.FormatInt(bytes/unit.bytes, 10) + unit.name
		}
	}
	return strconv.FormatInt(bytes, 10)
}

// ParseCores reads a processor share, "1.5" or "1500m", and returns it in thousandths of a core.
func ParseCores(text string) (int32, error) {
	number, factor := text, 1000.0
	if rest, ok := strings.CutSuffix(text, "m"); ok {
		number, factor = rest, 1
	}
	cores, err := strconv.ParseFloat(number, 64)
	millis := math.Round(cores * factor)
	if err != nil || !(millis >= 0 && millis <= 1_024_000) {
		return 0, fmt.Errorf("%q is not a number of cores such as 1.5", text)
	}
	return int32(millis), nil
}

// ParseSpan reads a length of time: "90s", "10m", or a number of seconds.
func ParseSpan(text string) (time.Duration, error) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 0 && seconds < 1e9 {
		return time.Duration(seconds * float64(time.Second)), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a length of time such as 90s, 10m or 1h", text)
	}
	return d, nil
}
