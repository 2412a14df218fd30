package gateway

import (
	"cmp"
	"context"
	"path"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sandgate/sandgate/gateway/audit"
	"github.com/sandgate/sandgate/gateway/identity"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// MaxFileURLLife is how long an address of a file is good for at most.
const MaxFileURLLife = 7 * 24 * time.Hour

// librariesRoot is where the file server has what can only be read, so that no address for an upload is made there.
const librariesRoot = "/libraries"

// filesScope is what an address of a file may do.
const filesScope = "files"

// A FileGrant is what the address of a file lets whoever has it do.
type FileGrant struct {
	// Session and Path name the file, as in the RPCs of FileService.
	Session, Path string
	// Upload tells that the file may be written, otherwise it may be read.
	Upload bool
	// Expires is when it ends.
	Expires time.Time
	// Token is a token of whoever made the address, for the session's files and until then.
	Token string
}

// FileURLs writes addresses of files, without telling what they hold. *fileurl.Sealer is one.
type FileURLs interface {
	// Seal returns the path of the address for a grant. Its error is a fault of the gateway.
	Seal(grant FileGrant) (string, error)
}

// FileReader reads files of sessions. *fileserver.Files is one.
type FileReader interface {
	// Download is that of FileService.
	Download(ctx context.Context, req *sandgatev1.DownloadRequest, send func(*sandgatev1.DownloadResponse) error) error
}

// RegisterFileURLs adds FileService.CreateFileURL to a registry. Sessions are asked whether the one that
// is named is the caller's, and files whether a file can be read.
func RegisterFileURLs(r *Registry, minter Minter, sessions *Sessions, files FileReader, urls FileURLs) {
	f := &fileURLs{minter: minter, sessions: sessions, files: files, urls: urls}
	Unary(r, sandgatev1connect.FileServiceCreateFileURLProcedure, f.create)
}

// fileURLs serve CreateFileURL.
type fileURLs struct {
	minter   Minter
	sessions *Sessions
	files    FileReader
	urls     FileURLs
}

func (f *fileURLs) create(ctx context.Context, req *sandgatev1.CreateFileURLRequest) (*sandgatev1.CreateFileURLResponse, error) {
	maker := principalOf(ctx)
	if err := f.sessions.has(maker, req.GetSessionId()); err != nil {
		return nil, err
	}
	upload := req.GetUse() == sandgatev1.FileURLUse_FILE_URL_USE_UPLOAD
	if clean := path.Clean(req.GetPath()); upload && (clean == librariesRoot || strings.HasPrefix(clean, librariesRoot+"/")) {
		return nil, Errorf(connect.CodePermissionDenied, "READ_ONLY", "Upload it to a path of the session.", "libraries can only be read")
	}
	if !upload {
		// The first byte is read, as only that follows links and tells a directory, and what may not be read.
		first := &sandgatev1.DownloadRequest{SessionId: req.GetSessionId(), Path: req.GetPath(), Length: 1}
		if err := f.files.Download(ctx, first, func(*sandgatev1.DownloadResponse) error { return nil }); err != nil {
			return nil, err
		}
	}
	token, made, err := f.minter.NewToken(maker, identity.Narrow{
		Session: req.GetSessionId(), Scopes: []string{filesScope}, Life: req.GetLifetime().AsDuration(), Longest: MaxFileURLLife,
	})
	if err != nil {
		return nil, Error(connect.CodePermissionDenied, ReasonTokenTooWide, "Use a key that may work on the session's files.", err)
	}
	err = auditorOf(ctx).Record(ctx, audit.Event{
		Kind: audit.TokenCreate, Tenant: made.Tenant, Key: made.ID, Session: shown(made.Session),
		Detail: "the address of a file, made by " + cmp.Or(maker.ID, "anyone"),
	})
	if err != nil {
		return nil, errUnaudited(err)
	}
	at, err := f.urls.Seal(FileGrant{
		Session: req.GetSessionId(), Path: req.GetPath(), Upload: upload, Expires: made.Expires, Token: token,
	})
	if err != nil {
		return nil, err
	}
	return &sandgatev1.CreateFileURLResponse{Path: at, ExpiresAt: timestamppb.New(made.Expires)}, nil
}
