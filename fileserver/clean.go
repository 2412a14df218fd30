package fileserver

import (
	"math"
	"strings"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const (
	// maxPathBytes bounds a path that a guest reports: 4 KiB as it is on disk, three times as much
	// when every byte of it had to be replaced.
	maxPathBytes = 12 << 10
	// maxPreviewBytes bounds the preview of an edit.
	maxPreviewBytes = 16 << 10
	// maxTokenBytes bounds a page token, which must fit the next request.
	maxTokenBytes = 8 << 10
	// defaultReadBytes and defaultPageSize are what requests mean that say nothing.
	defaultReadBytes = 1 << 20
	defaultPageSize  = 1000
	// maxFileLines bounds the lines of a piece of a file.
	maxFileLines = 4 << 20
	// permissionBits are those that FileInfo.mode may hold.
	permissionBits = 0o7777
)

// cleanInfo mends the description of a file. A nil one becomes empty.
func cleanInfo(info *sandgatev1.FileInfo) *sandgatev1.FileInfo {
	if info == nil {
		return &sandgatev1.FileInfo{Type: sandgatev1.FileType_FILE_TYPE_OTHER}
	}
	info.Path = guestrpc.Clip(info.GetPath(), maxPathBytes)
	info.SymlinkTarget = guestrpc.Clip(info.GetSymlinkTarget(), maxPathBytes)
	info.Type = cleanType(info.GetType())
	info.Size = max(info.GetSize(), 0)
	info.Mode &= permissionBits
	if info.GetModifiedAt().CheckValid() != nil {
		info.ModifiedAt = nil
	}
	return info
}

// cleanType returns the type of a file, if it is one.
func cleanType(kind sandgatev1.FileType) sandgatev1.FileType {
	if kind < sandgatev1.FileType_FILE_TYPE_FILE || kind > sandgatev1.FileType_FILE_TYPE_OTHER {
		return sandgatev1.FileType_FILE_TYPE_OTHER
	}
	return kind
}

// cleanRead mends a piece of a file and reports whether it is no longer than was asked for. The
// offset of the next read follows from what came: one that stands still would hold a reader forever.
func cleanRead(res *sandgatev1.ReadResponse, req *sandgatev1.ReadRequest) bool {
	limit := req.GetLength()
	if limit <= 0 {
		limit = defaultReadBytes
	}
	size := int64(len(res.GetText()) + len(res.GetData()))
	if size > limit || req.GetOffset() > math.MaxInt64-size {
		return false
	}
	res.TotalSize = max(res.GetTotalSize(), 0)
	if req.GetStartLine() > 0 || req.GetLines() > 0 {
		return cleanLines(res, req)
	}
	res.StartLine, res.NextLine, res.TotalLines = 0, 0, 0
	if size == 0 {
		// Nothing came, so that there is nothing to go on with.
		res.NextOffset = max(res.GetTotalSize(), req.GetOffset())
		return true
	}
	res.NextOffset = req.GetOffset() + size
	res.TotalSize = max(res.GetTotalSize(), res.GetNextOffset())
	return true
}

// cleanLines mends some lines of a file and reports whether they are no more than were asked for. Where in the
// file they are only the guest knows.
func cleanLines(res *sandgatev1.ReadResponse, req *sandgatev1.ReadRequest) bool {
	content := res.GetText() + string(res.GetData())
	ends := int64(strings.Count(content, "\n"))
	if req.GetLines() > 0 && ends > req.GetLines() || req.GetStartLine() > math.MaxInt64-maxFileLines {
		return false
	}
	res.StartLine = max(req.GetStartLine(), 1)
	res.TotalLines = max(res.GetTotalLines(), 0)
	res.TotalSize = max(res.GetTotalSize(), int64(len(content)))
	res.NextOffset = min(max(res.GetNextOffset(), int64(len(content))), res.GetTotalSize())
	if res.GetNextLine() != 0 {
		res.NextLine = res.GetStartLine() + max(ends, 1)
	}
	if content == "" {
		res.NextLine, res.NextOffset = 0, res.GetTotalSize()
	}
	return true
}

// cleanList mends a page of a directory and reports whether it is no longer than was asked for.
func cleanList(res *sandgatev1.ListFilesResponse, req *sandgatev1.ListFilesRequest) bool {
	limit := int(req.GetPageSize())
	if limit <= 0 {
		limit = defaultPageSize
	}
	if len(res.GetFiles()) > limit || len(res.GetNextPageToken()) > maxTokenBytes {
		return false
	}
	for _, info := range res.GetFiles() {
		cleanInfo(info)
	}
	if len(res.GetFiles()) == 0 {
		// A page without entries is the last one, or a reader would go on forever.
		res.NextPageToken = ""
	}
	return true
}

// cleanWatch mends a change and reports whether there is one.
func cleanWatch(res *sandgatev1.WatchResponse) bool {
	switch event := res.GetEvent().(type) {
	case *sandgatev1.WatchResponse_Ready, *sandgatev1.WatchResponse_Overflow:
		return true
	case *sandgatev1.WatchResponse_Change:
		event.Change.Path = guestrpc.Clip(event.Change.GetPath(), maxPathBytes)
		kind := event.Change.GetType()
		return kind >= sandgatev1.ChangeType_CHANGE_TYPE_CREATE && kind <= sandgatev1.ChangeType_CHANGE_TYPE_ATTRIBUTES
	default:
		return false
	}
}
