package main

import "testing"

func TestSentences(t *testing.T) {
	t.Parallel()
	const chart = "[page 1]\n\nmisc   libs\n0\n\n200\nMiB\nWhere the disk goes\n"
	if got, want := sentences(chart), "[page 1]\nmisc   libs\nWhere the disk goes\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
