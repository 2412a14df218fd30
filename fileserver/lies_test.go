package fileserver_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sandgate/sandgate/fileserver"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

// ask makes the call that the request is for.
func ask(ctx context.Context, files *fileserver.Files, req proto.Message) (proto.Message, error) {
	switch req := req.(type) {
	case *sandgatev1.GlobRequest:
		return files.Glob(ctx, req)
	case *sandgatev1.GrepRequest:
		return files.Grep(ctx, req)
	case *sandgatev1.TreeRequest:
		return files.Tree(ctx, req)
	case *sandgatev1.CopyRequest:
		return files.Copy(ctx, req)
	case *sandgatev1.HashRequest:
		return files.Hash(ctx, req)
	case *sandgatev1.DiffRequest:
		return files.Diff(ctx, req)
	case *sandgatev1.PatchRequest:
		return files.Patch(ctx, req)
	default:
		return nil, fmt.Errorf("%T is none of these calls", req)
	}
}

// withSession returns a request of the session "s".
func withSession(req proto.Message) proto.Message {
	m := req.ProtoReflect()
	m.Set(m.Descriptor().Fields().ByName("session_id"), protoreflect.ValueOfString("s"))
	return req
}

func lines(count int, text string) []*sandgatev1.GrepLine {
	var made []*sandgatev1.GrepLine
	for range count {
		made = append(made, &sandgatev1.GrepLine{Text: text})
	}
	return made
}

func TestLiesAreRefused(t *testing.T) {
	hash := strings.Repeat("0", 64)
	for name, test := range map[string]struct{ req, reply proto.Message }{
		"more paths than a page": {&sandgatev1.GlobRequest{PageSize: 1}, &sandgatev1.GlobResponse{Files: make([]*sandgatev1.FileInfo, 2)}},
		"a page of paths again":  {&sandgatev1.GlobRequest{PageToken: "t"}, &sandgatev1.GlobResponse{NextPageToken: "t"}},
		"a long token":           {&sandgatev1.GlobRequest{}, &sandgatev1.GlobResponse{NextPageToken: strings.Repeat("x", 1<<14)}},
		"more matches":           {&sandgatev1.GrepRequest{MaxMatches: 1}, &sandgatev1.GrepResponse{Files: []*sandgatev1.GrepFile{{Lines: lines(2, "")}}}},
		"longer matches":         {&sandgatev1.GrepRequest{}, &sandgatev1.GrepResponse{Files: []*sandgatev1.GrepFile{{Lines: lines(3, strings.Repeat("x", 100_000))}}}},
		"many files":             {&sandgatev1.GrepRequest{}, &sandgatev1.GrepResponse{Files: make([]*sandgatev1.GrepFile, 100_000)}},
		"matches again":          {&sandgatev1.GrepRequest{PageToken: "t"}, &sandgatev1.GrepResponse{NextPageToken: "t"}},
		"a larger tree":          {&sandgatev1.TreeRequest{MaxEntries: 1}, &sandgatev1.TreeResponse{Entries: make([]*sandgatev1.TreeEntry, 2)}},
		"a hash too many":        {&sandgatev1.HashRequest{Paths: []string{"a"}}, &sandgatev1.HashResponse{Files: []*sandgatev1.FileHash{{Hash: hash}, {Hash: hash}}}},
		"another hash":           {&sandgatev1.HashRequest{Paths: []string{"a"}, Algorithm: 4}, &sandgatev1.HashResponse{Files: []*sandgatev1.FileHash{{Hash: hash}}}},
		"no hash":                {&sandgatev1.HashRequest{Paths: []string{"a"}}, &sandgatev1.HashResponse{Files: []*sandgatev1.FileHash{{Hash: hash[1:] + "\n"}}}},
		"a longer diff":          {&sandgatev1.DiffRequest{}, &sandgatev1.DiffResponse{Diff: strings.Repeat("x", 1<<20)}},
		"more files":             {&sandgatev1.PatchRequest{}, &sandgatev1.PatchResponse{Files: make([]*sandgatev1.PatchedFile, 101)}},
		"more hunks":             {&sandgatev1.PatchRequest{}, &sandgatev1.PatchResponse{Files: []*sandgatev1.PatchedFile{{Hunks: make([]*sandgatev1.PatchedHunk, 2001)}}}},
	} {
		t.Run(name, func(t *testing.T) {
			files, _ := filesOf(t, &guest{reply: test.reply})
			_, err := ask(t.Context(), files, withSession(test.req))
			sandboxtest.WantError(t, err, connect.CodeInternal, "SANDBOX_MISBEHAVED")
		})
	}
}

func TestLiesAreMended(t *testing.T) {
	long := strings.Repeat("p", 1<<14)
	info := &sandgatev1.FileInfo{Path: long, Type: 50, Size: -1, Mode: math.MaxUint32}
	for name, test := range map[string]struct{ req, reply, want proto.Message }{
		"glob": {
			&sandgatev1.GlobRequest{}, &sandgatev1.GlobResponse{Files: []*sandgatev1.FileInfo{info}, Unreadable: -1},
			&sandgatev1.GlobResponse{Files: []*sandgatev1.FileInfo{{Path: long[:12<<10], Type: 4, Mode: 0o7777}}},
		},
		"grep": {
			&sandgatev1.GrepRequest{},
			&sandgatev1.GrepResponse{Files: []*sandgatev1.GrepFile{{Path: long, Lines: []*sandgatev1.GrepLine{{Number: -5}, {Context: true}}}}, Matches: 9, Searched: -1, Binary: -1, Unreadable: -1},
			&sandgatev1.GrepResponse{Files: []*sandgatev1.GrepFile{{Path: long[:12<<10], Lines: []*sandgatev1.GrepLine{{Number: 1}, {Number: 1, Context: true}}}}, Matches: 1},
		},
		"tree": {
			&sandgatev1.TreeRequest{Depth: 2},
			&sandgatev1.TreeResponse{Path: long, Unlisted: -1, Entries: []*sandgatev1.TreeEntry{
				{Name: long, Depth: 9, Type: 9, Size: -1, Unlisted: -1}, {Depth: 9}, {Depth: 9}, {Depth: -1, Type: 1},
			}},
			&sandgatev1.TreeResponse{Path: long[:12<<10], Entries: []*sandgatev1.TreeEntry{
				{Name: long[:765], Depth: 1, Type: 4}, {Depth: 2, Type: 4}, {Depth: 2, Type: 4}, {Depth: 1, Type: 1},
			}},
		},
		"copy": {
			&sandgatev1.CopyRequest{}, &sandgatev1.CopyResponse{Files: -1, Directories: -1, Bytes: -1, Skipped: -1},
			&sandgatev1.CopyResponse{File: &sandgatev1.FileInfo{Type: 4}},
		},
		"hash": {
			&sandgatev1.HashRequest{Paths: []string{"a"}, Algorithm: 4}, &sandgatev1.HashResponse{Files: []*sandgatev1.FileHash{{Path: long, Hash: strings.Repeat("a", 32), Size: -1}}},
			&sandgatev1.HashResponse{Files: []*sandgatev1.FileHash{{Path: long[:12<<10], Hash: strings.Repeat("a", 32)}}},
		},
		"diff that stands still": {
			&sandgatev1.DiffRequest{Offset: 5}, &sandgatev1.DiffResponse{Diff: "abc", TotalSize: 20, NextOffset: 5, Added: -1, Removed: -1},
			&sandgatev1.DiffResponse{Diff: "abc", TotalSize: 20, NextOffset: 8},
		},
		"diff of nothing": {
			&sandgatev1.DiffRequest{Offset: 5}, &sandgatev1.DiffResponse{TotalSize: 20, NextOffset: 5},
			&sandgatev1.DiffResponse{TotalSize: 20, NextOffset: 20},
		},
		"patch": {
			&sandgatev1.PatchRequest{DryRun: true},
			&sandgatev1.PatchResponse{Files: []*sandgatev1.PatchedFile{{Path: long, Change: 77, Added: -1, Removed: -1, Hunks: []*sandgatev1.PatchedHunk{{Line: -1, Shift: -4}}}}},
			&sandgatev1.PatchResponse{DryRun: true, Files: []*sandgatev1.PatchedFile{{Path: long[:12<<10], Change: 2, Hunks: []*sandgatev1.PatchedHunk{{Line: 1, Shift: -4}}}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			files, _ := filesOf(t, &guest{reply: test.reply})
			got, err := ask(t.Context(), files, withSession(test.req))
			if err != nil || !proto.Equal(got, test.want) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}
