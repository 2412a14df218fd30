// Package data reads documents that are data: tables, JSON, plain text, databases and archives.
package data
