package docker

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
)

// version is what of a version string orders it: 1.4.0-rc.3 is {1, 4, 0, 3}, before 1.4.0.
type version struct {
	major, minor, patch int
	candidate           int // of a release candidate; 0 is the release itself
}

// parseVersion finds the first version in text, such as "1.1.5+ds1-1+deb12u1" or "v1.4.0-rc.3". It
// reports false when there is none.
func parseVersion(text string) (version, bool) {
	pattern := regexp.MustCompile(`(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?(?:[-~]rc\.?(\d{1,6}))?`)
	parts := pattern.FindStringSubmatch(text)
	if parts == nil {
		return version{}, false
	}
	number := func(i int) int {
		n, _ := strconv.Atoi(parts[i]) // digits, or empty for zero
		return n
	}
	return version{number(1), number(2), number(3), number(4)}, true
}

func (v version) compare(w version) int {
	candidate := func(v version) int {
		if v.candidate == 0 {
			return int(^uint(0) >> 1)
		}
		return v.candidate
	}
	return cmp.Or(cmp.Compare(v.major, w.major), cmp.Compare(v.minor, w.minor),
		cmp.Compare(v.patch, w.patch), cmp.Compare(candidate(v), candidate(w)))
}

func (v version) sameBranch(w version) bool { return v.major == w.major && v.minor == w.minor }

// fixedSince reports whether v has a fix that was released in each of the versions in fixes, one a
// branch: v is in one of the branches and not before its fix, or after all of them.
func (v version) fixedSince(fixes ...string) bool {
	latest := version{}
	for _, text := range fixes {
		fix, _ := parseVersion(text)
		if v.sameBranch(fix) {
			return v.compare(fix) >= 0
		}
		if fix.compare(latest) > 0 {
			latest = fix
		}
	}
	return v.compare(latest) > 0
}

// buildDay is the day, as yyyymmdd, in a Go pseudo-version such as v0.0.0-20260905035102-160fafc42237. It
// is empty when there is none.
func buildDay(pseudo string) string {
	for part := range strings.SplitSeq(pseudo, "-") {
		if len(part) == len("20060102150405") && strings.Trim(part, "0123456789") == "" {
			return part[:len("20060102")]
		}
	}
	return ""
}
