package store

import (
	"context"
	"crypto/md5"  //nolint:gosec // for comparing with what others publish
	"crypto/sha1" //nolint:gosec // as above
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// maxHashBytes bounds what one call hashes: more would take longer than callers wait.
const maxHashBytes = 16 << 30

// Hash hashes files.
func (w *Workspace) Hash(ctx context.Context, req *sandgatev1.HashRequest) (*sandgatev1.HashResponse, error) {
	res := &sandgatev1.HashResponse{}
	room := int64(maxHashBytes)
	for _, name := range req.GetPaths() {
		file, err := on(w, name, func(v *view, path string) (*sandgatev1.FileHash, error) {
			return v.hash(ctx, path, newHash(req.GetAlgorithm()), room)
		})
		if err != nil {
			return nil, err
		}
		room -= file.GetSize()
		res.Files = append(res.Files, file)
	}
	return res, nil
}

func newHash(algorithm sandgatev1.HashAlgorithm) hash.Hash {
	switch algorithm {
	case sandgatev1.HashAlgorithm_HASH_ALGORITHM_SHA512:
		return sha512.New()
	case sandgatev1.HashAlgorithm_HASH_ALGORITHM_SHA1:
		return sha1.New() //nolint:gosec // as above
	case sandgatev1.HashAlgorithm_HASH_ALGORITHM_MD5:
		return md5.New() //nolint:gosec // as above
	default:
		return sha256.New()
	}
}

// hash hashes a file, unless it is larger than what there is room for.
func (v *view) hash(ctx context.Context, path string, sum hash.Hash, room int64) (*sandgatev1.FileHash, error) {
	file, size, err := v.open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var done int64
	for size <= room && done <= room { // it may grow
		n, err := io.CopyN(sum, file, copyPiece)
		done += n
		switch {
		case errors.Is(err, io.EOF):
			return &sandgatev1.FileHash{Path: validText(path), Hash: hex.EncodeToString(sum.Sum(nil)), Size: done}, nil
		case err != nil:
			return nil, err
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
	}
	return nil, fail(connect.CodeFailedPrecondition, "FILE_TOO_LARGE", "hash it with a program, such as sha256sum",
		"the files have more than %d bytes", int64(maxHashBytes))
}
