package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"connectrpc.com/connect"
)

// ErrNotLoopback is wrapped where a gateway without keys is to listen on an address that others reach.
var ErrNotLoopback = errors.New("without keys anybody who can connect can run code, so only a loopback address such as 127.0.0.1 or [::1] may be listened on")

// Listen opens a TCP listener, such as on `127.0.0.1:7777` or `localhost:0`. For an open gateway,
// which lets anyone in, it refuses every address that is not loopback before anything is opened.
func Listen(ctx context.Context, address string, open bool) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	var config net.ListenConfig
	if !open {
		return config.Listen(ctx, "tcp", address)
	}
	if host == "" {
		return nil, fmt.Errorf("listen on %q: %w", address, ErrNotLoopback)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", address, err)
	}
	for _, ip := range ips {
		if !ip.Unmap().IsLoopback() {
			return nil, fmt.Errorf("listen on %q: %w", address, ErrNotLoopback)
		}
	}
	var errs []error
	for _, ip := range ips {
		listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(ip.Unmap().String(), port))
		if err == nil {
			return listener, nil
		}
		errs = append(errs, err) // such as ::1 on a host without IPv6
	}
	return nil, fmt.Errorf("listen on %q: %w", address, errors.Join(errs...))
}

func checkLoopback(address net.Addr) error {
	switch address := address.(type) {
	case *net.TCPAddr:
		if !address.IP.IsLoopback() {
			return fmt.Errorf("serve %s: %w", address, ErrNotLoopback)
		}
		return nil
	case *net.UnixAddr:
		return nil
	default:
		return fmt.Errorf("serve %s: %w", address, ErrNotLoopback)
	}
}

// doors decide who may talk to the gateway at all. Two things keep a web page in the user's browser
// from calling it: a request with an Origin was made by a page; and while the gateway is open, with
// no keys, the Host must be a name of its own, which a rebound DNS name is not.
type doors struct {
	hosts   map[string]bool
	origins map[string]bool
}

func newDoors(hosts, origins []string) doors {
	d := doors{hosts: map[string]bool{"localhost": true}, origins: make(map[string]bool)}
	for _, host := range hosts {
		d.hosts[strings.ToLower(host)] = true
	}
	for _, origin := range origins {
		d.origins[strings.ToLower(origin)] = true
	}
	return d
}

func (d doors) check(r *http.Request, open bool) error {
	if open && !d.knows(r.Host) {
		return Errorf(connect.CodePermissionDenied, ReasonHostRefused,
			"Address the gateway as localhost or by a loopback address, or have its operator allow the name.",
			"the Host of the request is not a name of this gateway")
	}
	for _, origin := range r.Header["Origin"] {
		if !d.origins[strings.ToLower(origin)] {
			return Errorf(connect.CodePermissionDenied, ReasonOriginRefused,
				"Web pages may not call this gateway unless its operator allows their origin.",
				"the Origin of the request is not allowed")
		}
	}
	return nil
}

// knows tells whether a Host header names this gateway, whatever the port.
func (d doors) knows(hostport string) bool {
	host := hostport
	if name, _, err := net.SplitHostPort(hostport); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if d.hosts[strings.ToLower(host)] {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Zone() == "" && ip.Unmap().IsLoopback()
}
