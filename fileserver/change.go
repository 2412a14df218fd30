package fileserver

import (
	"context"
	"encoding/hex"
	"errors"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const (
	// maxDiffBytes bounds the piece of a diff that a reply holds.
	maxDiffBytes = 256 << 10
	// maxPatchFiles and maxPatchHunks bound what a patch may have done.
	maxPatchFiles = 100
	maxPatchHunks = 2000
)

// Copy copies a file or directory.
func (f *Files) Copy(ctx context.Context, req *sandgatev1.CopyRequest) (*sandgatev1.CopyResponse, error) {
	if f.shared(req.GetSource()) && !f.shared(req.GetDestination()) {
		return f.borrow(ctx, req)
	}
	res, err := unary(ctx, f.at(req.GetSource(), req.GetDestination()), req, f.guest.Copy)
	if err == nil {
		res.File = cleanInfo(res.GetFile())
		res.Files, res.Directories = max(res.GetFiles(), 0), max(res.GetDirectories(), 0)
		res.Bytes, res.Skipped = max(res.GetBytes(), 0), max(res.GetSkipped(), 0)
	}
	return res, err
}

// Hash hashes files.
func (f *Files) Hash(ctx context.Context, req *sandgatev1.HashRequest) (*sandgatev1.HashResponse, error) {
	res, err := unary(ctx, f.at(req.GetPaths()...), req, f.guest.Hash)
	if err != nil {
		return nil, err
	}
	if !cleanHash(res, req) {
		return nil, guestrpc.Broken(errors.New("it sent other hashes than were asked for"))
	}
	return res, nil
}

// cleanHash mends hashes and reports whether they are those that were asked for, as far as that can be seen.
func cleanHash(res *sandgatev1.HashResponse, req *sandgatev1.HashRequest) bool {
	if len(res.GetFiles()) != len(req.GetPaths()) {
		return false
	}
	sizes := map[sandgatev1.HashAlgorithm]int{
		sandgatev1.HashAlgorithm_HASH_ALGORITHM_UNSPECIFIED: 32, sandgatev1.HashAlgorithm_HASH_ALGORITHM_SHA256: 32,
		sandgatev1.HashAlgorithm_HASH_ALGORITHM_SHA512: 64, sandgatev1.HashAlgorithm_HASH_ALGORITHM_SHA1: 20,
		sandgatev1.HashAlgorithm_HASH_ALGORITHM_MD5: 16,
	}
	for _, file := range res.GetFiles() {
		hash, err := hex.DecodeString(file.GetHash())
		if err != nil || len(hash) != sizes[req.GetAlgorithm()] {
			return false
		}
		file.Path, file.Size = guestrpc.Clip(file.GetPath(), maxPathBytes), max(file.GetSize(), 0)
	}
	return true
}

// Diff compares a file with another, or with a text.
func (f *Files) Diff(ctx context.Context, req *sandgatev1.DiffRequest) (*sandgatev1.DiffResponse, error) {
	paths := []string{req.GetPath()}
	if req.GetOtherPath() != "" {
		paths = append(paths, req.GetOtherPath())
	}
	res, err := unary(ctx, f.at(paths...), req, f.guest.Diff)
	if err != nil {
		return nil, err
	}
	size := int64(len(res.GetDiff()))
	if size > maxDiffBytes {
		return nil, guestrpc.Broken(errTooMuch)
	}
	res.Added, res.Removed, res.TotalSize = max(res.GetAdded(), 0), max(res.GetRemoved(), 0), max(res.GetTotalSize(), 0)
	if size == 0 { // there is nothing to go on with
		res.NextOffset = res.GetTotalSize()
		return res, nil
	}
	res.NextOffset = max(min(req.GetOffset(), res.GetTotalSize()), 0) + size
	res.TotalSize = max(res.GetTotalSize(), res.GetNextOffset())
	return res, nil
}

// Patch applies a unified diff.
func (f *Files) Patch(ctx context.Context, req *sandgatev1.PatchRequest) (*sandgatev1.PatchResponse, error) {
	res, err := unary(ctx, f.sandboxes, req, f.guest.Patch)
	if err != nil {
		return nil, err
	}
	if !cleanPatch(res, req) {
		return nil, guestrpc.Broken(errors.New("it changed more files than a patch may name"))
	}
	return res, nil
}

// cleanPatch mends what a patch did and reports whether that is no more than a patch may do.
func cleanPatch(res *sandgatev1.PatchResponse, req *sandgatev1.PatchRequest) bool {
	if len(res.GetFiles()) > maxPatchFiles {
		return false
	}
	hunks := 0
	for _, file := range res.GetFiles() {
		if hunks += len(file.GetHunks()); hunks > maxPatchHunks || file == nil {
			return false
		}
		file.Path = guestrpc.Clip(file.GetPath(), maxPathBytes)
		file.Added, file.Removed = max(file.GetAdded(), 0), max(file.GetRemoved(), 0)
		switch file.GetChange() {
		case sandgatev1.ChangeType_CHANGE_TYPE_CREATE, sandgatev1.ChangeType_CHANGE_TYPE_REMOVE:
		default:
			file.Change = sandgatev1.ChangeType_CHANGE_TYPE_WRITE
		}
		for _, hunk := range file.GetHunks() {
			if hunk == nil {
				return false
			}
			hunk.Line = max(hunk.GetLine(), 1)
		}
	}
	res.DryRun = req.GetDryRun()
	return true
}
