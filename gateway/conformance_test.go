package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	conformancev1 "github.com/sandgate/sandgate/third_party/conformance/connectrpc/conformance/v1"
)

// conformanceVariable, set in the environment, makes the test binary the server that Connect's
// conformance suite tests: `make test-conformance` has the suite start it, once for each way of
// connecting. It is a real Server on a real listener; only the service behind it is the suite's.
const conformanceVariable = "SANDGATE_CONFORMANCE_SERVER"

func conformanceMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := serveConformance(ctx, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "conformance server:", err)
		return 1
	}
	return 0
}

// serveConformance reads from in what server the suite wants, says on out where it is, and serves until
// ctx ends.
func serveConformance(ctx context.Context, in io.Reader, out io.Writer) error {
	var asked conformancev1.ServerCompatRequest
	if err := readDelimited(in, &asked); err != nil {
		return err
	}
	server, err := conformanceServer(&asked)
	if err != nil {
		return err
	}
	listener, err := Listen(ctx, "127.0.0.1:0", true)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	where, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return fmt.Errorf("listening on a %T", listener.Addr())
	}
	err = writeDelimited(out, &conformancev1.ServerCompatResponse{
		Host: where.IP.String(), Port: uint32(where.Port), PemCert: asked.GetServerCreds().GetCert(),
	})
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, server.Shutdown(context.WithoutCancel(ctx)), <-served)
}

// conformanceServer makes a server as production does, with the suite's service in its registry. It
// speaks every protocol and version of HTTP whichever of them the suite asks for.
func conformanceServer(asked *conformancev1.ServerCompatRequest) (*Server, error) {
	registry := NewRegistry()
	registry.method = conformanceMethod
	registerConformance(registry)
	opts := Options{Registry: registry, Logger: quiet(), maxMessageBytes: int(asked.GetMessageReceiveLimit())}
	if len(asked.GetClientTlsCert()) > 0 {
		return nil, errors.New("the gateway knows no client certificates")
	}
	if asked.GetUseTls() {
		folder, err := os.MkdirTemp("", "sandgate-conformance-")
		if err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(folder) }()
		opts.CertFile, opts.KeyFile = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
		creds := asked.GetServerCreds()
		err = errors.Join(os.WriteFile(opts.CertFile, creds.GetCert(), 0o600), os.WriteFile(opts.KeyFile, creds.GetKey(), 0o600))
		if err != nil {
			return nil, err
		}
	}
	return NewServer(opts)
}

// conformanceMethod returns the descriptor of an RPC of the suite's service.
func conformanceMethod(procedure string) protoreflect.MethodDescriptor {
	service := conformancev1.File_connectrpc_conformance_v1_service_proto.Services().ByName("ConformanceService")
	name := strings.TrimPrefix(procedure, conformancePath)
	return service.Methods().ByName(protoreflect.Name(name))
}

// readDelimited reads one message behind its size, in which the suite and its servers speak.
func readDelimited(in io.Reader, message proto.Message) error {
	var size uint32
	if err := binary.Read(in, binary.BigEndian, &size); err != nil {
		return err
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(in, data); err != nil {
		return err
	}
	return proto.Unmarshal(data, message)
}

func writeDelimited(out io.Writer, message proto.Message) error {
	data, err := proto.Marshal(message)
	if err != nil {
		return err
	}
	_, err = out.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...))
	return err
}
