// Package storetest gives tests a PostgreSQL server of their own.
package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver registers itself
)

// startTimeout bounds the making of a database cluster and the start of its server.
const startTimeout = time.Minute

// A Postgres is a server that runs for the tests of one package. It listens on a socket in its own
// folder and on no port.
type Postgres struct {
	folder string
	server *exec.Cmd
	admin  *sql.DB
	made   int
}

// StartPostgres makes a database cluster in a folder of its own and starts its server. It needs the
// programs of PostgreSQL, which the test set-up installs; where they are missing it fails. Stop it.
func StartPostgres() (*Postgres, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	p := &Postgres{}
	if p.folder, err = os.MkdirTemp("", "sandgate-pg-"); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	who, err := unprivileged(p.folder)
	if err == nil {
		err = p.start(bin, who)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start PostgreSQL: %w", err), p.Stop())
	}
	return p, nil
}

func (p *Postgres) start(bin string, who *syscall.SysProcAttr) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	data := filepath.Join(p.folder, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-A", "trust", "-U", "sandgate", "--no-sync", "-E", "UTF8")
	initdb.SysProcAttr, initdb.Dir = who, p.folder
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	log, err := os.Create(filepath.Join(p.folder, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the server has its own
	p.server = exec.CommandContext(context.Background(), filepath.Join(bin, "postgres"), "-D", data, "-k", p.folder, "-c", "listen_addresses=")
	p.server.SysProcAttr, p.server.Dir, p.server.Stdout, p.server.Stderr = who, p.folder, log, log
	if err := p.server.Start(); err != nil {
		p.server = nil
		return err
	}
	if p.admin, err = sql.Open("pgx", p.url("postgres")); err != nil {
		return err
	}
	for err = p.admin.PingContext(ctx); err != nil && ctx.Err() == nil; err = p.admin.PingContext(ctx) {
		<-time.After(20 * time.Millisecond)
	}
	return err
}

// Database makes an empty database and returns its URL.
func (p *Postgres) Database(ctx context.Context) (string, error) {
	p.made++
	name := "t" + strconv.Itoa(p.made)
	if _, err := p.admin.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return "", fmt.Errorf("make a database: %w", err)
	}
	return p.url(name), nil
}

func (p *Postgres) url(database string) string {
	query := url.Values{"host": {p.folder}}
	return (&url.URL{Scheme: "postgres", User: url.User("sandgate"), Path: "/" + database, RawQuery: query.Encode()}).String()
}

// Stop ends the server, whoever is connected, and removes everything.
func (p *Postgres) Stop() error {
	var errs []error
	if p.admin != nil {
		errs = append(errs, p.admin.Close())
	}
	if p.server != nil {
		errs = append(errs, p.server.Process.Signal(syscall.SIGQUIT)) // at once, which is no clean exit
		_ = p.server.Wait()
	}
	return errors.Join(append(errs, os.RemoveAll(p.folder))...)
}

// binaries finds the folder of PostgreSQL's programs, the newest where there are several.
func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // Debian's place
	if err != nil || len(found) == 0 {
		return "", errors.New("PostgreSQL's programs are not installed: run `make setup-tests`, or install the package postgresql")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

// unprivileged returns how to run the server, which refuses to be root, and gives it its folder.
func unprivileged(folder string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr, os.Chown(folder, int(uid), int(gid))); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}
