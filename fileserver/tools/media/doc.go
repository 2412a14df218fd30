// Package media tells what is known about pictures and sound without decoding them: their format, size and
// length, and what they say of themselves.
package media
