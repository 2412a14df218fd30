// Package proto holds the API's descriptors with their comments. The Go code generated from them,
// one package per API version, is in the folders below.
package proto

import (
	_ "embed"
	"slices"
)

//go:embed descriptors.binpb
var descriptors []byte

// Descriptors returns a serialised google.protobuf.FileDescriptorSet of sandgate.v1, imports left
// out. Unlike the descriptors inside the generated Go code it carries the source comments, from
// which the tool catalogue takes its descriptions. The caller owns the slice.
func Descriptors() []byte { return slices.Clone(descriptors) }
