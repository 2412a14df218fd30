package guest

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// exit is how a child ended.
type exit struct {
	status syscall.WaitStatus
	usage  syscall.Rusage
}

// reaper starts processes and waits for them. As PID 1 it also reaps what nobody else does, and so
// it is the only one that waits for anything.
type reaper struct {
	init bool
	oom  *os.File // the guest's own oom_score_adj; nil where there is none
	own  []byte   // what it held at first

	mu    sync.Mutex // held from fork to registration, so that no child is reaped before it is known
	exits map[int]chan exit

	running sync.WaitGroup
	cancel  context.CancelFunc
}

func newReaper(init bool) *reaper {
	ctx, cancel := context.WithCancel(context.Background())
	r := &reaper{init: init, exits: map[int]chan exit{}, cancel: cancel}
	if init {
		r.own, _ = os.ReadFile("/proc/self/oom_score_adj")
		r.oom, _ = os.OpenFile("/proc/self/oom_score_adj", os.O_RDWR, 0)
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, unix.SIGCHLD)
		r.running.Go(func() {
			defer signal.Stop(signals)
			for {
				select {
				case <-ctx.Done():
					return
				case <-signals:
					r.reap()
				}
			}
		})
	}
	return r
}

// reap collects every child that has ended.
func (r *reaper) reap() {
	for {
		var status syscall.WaitStatus
		var usage syscall.Rusage
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, &usage)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		r.mu.Lock()
		ended := r.exits[pid]
		delete(r.exits, pid)
		r.mu.Unlock()
		if ended != nil {
			ended <- exit{status, usage}
		}
	}
}

// start runs a program and returns its pid and where its end is told, once.
func (r *reaper) start(path string, argv []string, attr *syscall.ProcAttr) (int, <-chan exit, error) {
	ended := make(chan exit, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expendable(true)
	pid, err := syscall.ForkExec(path, argv, attr)
	r.expendable(false)
	if err != nil {
		return 0, nil, err
	}
	if r.init {
		r.exits[pid] = ended
		return pid, ended, nil
	}
	r.running.Go(func() {
		var got exit
		for {
			if _, err := syscall.Wait4(pid, &got.status, 0, &got.usage); err != syscall.EINTR {
				break
			}
		}
		ended <- got
	})
	return pid, ended, nil
}

// expendable makes what is forked meanwhile the first to go when memory runs out: a child inherits
// the score, and the guest gets its own back, which needs no privilege as it is not below the one
// that the container was given.
func (r *reaper) expendable(on bool) {
	if r.oom == nil {
		return
	}
	score := r.own
	if on {
		score = []byte("1000")
	}
	_, _ = r.oom.WriteAt(score, 0)
}

func (r *reaper) close() {
	r.cancel()
	r.running.Wait()
	if r.oom != nil {
		_ = r.oom.Close()
	}
}
