// Package sandgate is the top of the repository and holds no code: its tests check rules that span
// packages. The API is in proto/sandgate/v1, the program in cmd/sandgate.
package sandgate
