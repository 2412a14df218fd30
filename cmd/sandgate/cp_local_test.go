package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestCopyLeavesPipeNobodyReads ends a copy that waits for a pipe's reader.
func TestCopyLeavesPipeNobodyReads(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := (&copier{}).writeInto(ctx, location{}, nil, func() (*os.File, error) {
		cancel()
		return os.OpenFile(pipe, os.O_WRONLY, 0) // waits for ever
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the copy ended with %v", err)
	}
}
