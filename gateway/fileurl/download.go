package fileurl

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// reasonChanged is that of a download which was cut off, in the log.
const reasonChanged = "FILE_SHRANK"

// download sends a file, or the part of it that is asked for.
//
// There is no validator, such as an ETag, so that If-Range never holds: the whole file is sent then.
func (h *Handler) download(ctx context.Context, w http.ResponseWriter, r *http.Request, grant gateway.FileGrant) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the call where the client has left
	req := &sandgatev1.DownloadRequest{SessionId: grant.Session, Path: grant.Path}
	asked := r.Header.Get("Range")
	partial := asked != "" && r.Method == http.MethodGet && r.Header.Get("If-Range") == ""
	if partial {
		// A range is written in terms of the file's size, which only a first look tells. What is asked for
		// then is never more than there was, so that a file that grows meanwhile does no harm.
		total, err := h.size(ctx, req)
		if err != nil {
			return err
		}
		var part span
		if part, partial, err = parseRange(asked, total); err != nil {
			return unsatisfiable(w.Header(), total)
		}
		req.Offset, req.Length = part.offset, part.length
	}
	if r.Method == http.MethodHead {
		total, err := h.size(ctx, req)
		if err != nil {
			return err
		}
		announce(w.Header(), grant, total)
		w.WriteHeader(http.StatusOK)
		return nil
	}
	stream, err := h.opts.Files.Download(ctx, req)
	if err != nil {
		return forStrangers(err)
	}
	defer func() {
		cancel() // first, so that closing does not wait
		_ = stream.Close()
	}()
	if !stream.Receive() {
		return forStrangers(stream.Err())
	}
	total := stream.Msg().GetTotalSize()
	part, status := span{0, total}, http.StatusOK
	if partial {
		if req.GetOffset() >= total { // it has become shorter since the first look
			return unsatisfiable(w.Header(), total)
		}
		part, status = span{req.GetOffset(), min(req.GetLength(), total-req.GetOffset())}, http.StatusPartialContent
		w.Header().Set("Content-Range", part.contentRange(total))
	}
	announce(w.Header(), grant, part.length)
	w.WriteHeader(status)
	return pass(ctx, w, stream, part.length)
}

// size returns how long a file is now.
func (h *Handler) size(ctx context.Context, req *sandgatev1.DownloadRequest) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := h.opts.Files.Download(ctx, &sandgatev1.DownloadRequest{SessionId: req.GetSessionId(), Path: req.GetPath(), Length: 1})
	if err != nil {
		return 0, forStrangers(err)
	}
	defer func() {
		cancel()
		_ = stream.Close()
	}()
	if !stream.Receive() {
		return 0, forStrangers(stream.Err())
	}
	total := stream.Msg().GetTotalSize()
	_ = stream.Receive() // its end, so that the call ends well
	return total, nil
}

// announce sets the headers of a file, of which so many bytes follow.
func announce(header http.Header, grant gateway.FileGrant, length int64) {
	header.Set("Accept-Ranges", "bytes")
	header.Set("Content-Disposition", disposition(nameOf(grant.Path)))
	header.Set("Content-Length", strconv.FormatInt(length, 10))
	header.Set("Content-Type", "application/octet-stream")
}

// unsatisfiable says that a file of total bytes has nothing in the range that is asked for.
func unsatisfiable(header http.Header, total int64) error {
	header.Set("Content-Range", "bytes */"+strconv.FormatInt(total, 10))
	return errUnsatisfiable()
}

// pass sends so many bytes of a file from the message that was received and those behind it: no more than
// was announced, and where there are fewer it cuts the connection.
func pass(ctx context.Context, w http.ResponseWriter, stream *connect.ServerStreamForClient[sandgatev1.DownloadResponse], left int64) error {
	for {
		data := stream.Msg().GetData()
		data = data[:min(int64(len(data)), left)]
		if len(data) > 0 {
			if _, err := w.Write(data); err != nil {
				gateway.Abort(ctx, connect.NewError(connect.CodeCanceled, errors.New("the client left")))
			}
		}
		left -= int64(len(data))
		if left == 0 {
			break
		}
		if !stream.Receive() {
			gateway.Abort(ctx, shrank(stream.Err()))
		}
	}
	_ = stream.Receive() // its end, so that the call ends well
	return nil
}

// shrank returns why a file ended before its time.
func shrank(err error) error {
	if err != nil {
		return forStrangers(err)
	}
	return gateway.Errorf(connect.CodeAborted, reasonChanged, "Download it again.", "the file became shorter while it was sent")
}
