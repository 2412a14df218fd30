package guest

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
func (s *fileService) Hash(ctx context.Context, req *sandgatev1.HashRequest) (*sandgatev1.HashResponse, error) {
	res := &sandgatev1.HashResponse{}
	room := int64(maxHashBytes)
	buf := make([]byte, transferChunk)
	for _, name := range req.GetPaths() {
		path, err := s.guest.checked(name)
		if err != nil {
			return nil, err
		}
		sum := newHash(req.GetAlgorithm())
		size, err := s.hash(ctx, path, sum, buf, room)
		if err != nil {
			return nil, fileError(path, err)
		}
		room -= size
		res.Files = append(res.Files, &sandgatev1.FileHash{Path: validText(path), Hash: hex.EncodeToString(sum.Sum(nil)), Size: size})
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
	case sandgatev1.HashAlgorithm_HASH_ALGORITHM_UNSPECIFIED, sandgatev1.HashAlgorithm_HASH_ALGORITHM_SHA256:
		return sha256.New()
	default:
		return sha256.New()
	}
}

// hash hashes a file, unless it is larger than what there is room for.
func (s *fileService) hash(ctx context.Context, path string, sum hash.Hash, buf []byte, room int64) (size int64, err error) {
	file, there, err := s.open(ctx, path)
	if err != nil {
		return 0, err
	}
	defer closeAll(file)
	for there <= room && size <= room { // it may grow
		n, err := file.Read(buf)
		_, _ = sum.Write(buf[:n]) // which never fails
		size += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			return size, nil
		case err != nil:
			return 0, err
		case ctx.Err() != nil:
			return 0, ctx.Err()
		}
	}
	return 0, fail(connect.CodeFailedPrecondition, "FILE_TOO_LARGE", "hash it with a program, such as sha256sum",
		"the files have more than %d bytes", int64(maxHashBytes))
}
