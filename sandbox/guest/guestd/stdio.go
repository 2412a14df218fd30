package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sandgate/sandgate/sandbox/gather"
)

// stdio is the channel's byte stream.
type stdio struct {
	*gather.Descriptor // in

	out     *gather.Descriptor
	in, end *os.File
}

func (s stdio) Write(p []byte) (int, error) { return s.out.Write(p) }
func (s stdio) Close() error                { return errors.Join(s.in.Close(), s.end.Close()) }

// takeStdio moves the channel away from the descriptors that every program knows, and puts the null
// device there, so that nothing started later, and no stray print, can touch it.
func takeStdio() (s stdio, err error) {
	if s.in, s.Descriptor, err = keep(0); err != nil {
		return s, err
	}
	if s.end, s.out, err = keep(1); err != nil {
		return s, err
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return s, err
	}
	for fd := range 2 {
		if err := unix.Dup3(null, fd, 0); err != nil {
			return s, err
		}
	}
	return s, unix.Close(null)
}

// keep moves one end of the channel.
func keep(fd int) (*os.File, *gather.Descriptor, error) {
	moved, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err == nil {
		err = unix.SetNonblock(moved, true)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("keep the channel: %w", err)
	}
	file := os.NewFile(uintptr(moved), "channel")
	descriptor, err := gather.NewDescriptor(file, gather.Nap)
	if err != nil {
		return nil, nil, fmt.Errorf("keep the channel: %w", err)
	}
	return file, descriptor, nil
}
