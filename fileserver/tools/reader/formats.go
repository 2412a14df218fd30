package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/sandgate/sandgate/fileserver/tools/data"
	"github.com/sandgate/sandgate/fileserver/tools/document"
	"github.com/sandgate/sandgate/fileserver/tools/media"
	"github.com/sandgate/sandgate/fileserver/tools/office"
	"github.com/sandgate/sandgate/fileserver/tools/web"
)

// readers are by format.
var readers = map[string]document.Reader{
	"docx": office.Word, "xlsx": office.Excel, "pptx": office.PowerPoint,
	"epub": web.EPUB, "html": web.HTML, "rtf": web.RTF, "eml": web.Mail, "ipynb": web.Notebook, "xml": web.XML,
	"csv": data.CSV, "tsv": data.CSV, "json": data.JSON, "jsonl": data.JSONLines, "text": data.Text, "markdown": data.Text,
	"sqlite": data.SQLite, "zip": data.Zip, "tar": data.Tar, "image": media.Image, "audio": media.Audio,
}

// names are the formats by the ending of a file's name, for what the content does not tell.
var names = map[string]string{
	".docx": "docx", ".docm": "docx", ".xlsx": "xlsx", ".xlsm": "xlsx", ".pptx": "pptx", ".pptm": "pptx", ".epub": "epub",
	".htm": "html", ".html": "html", ".xhtml": "html", ".rtf": "rtf", ".eml": "eml", ".ipynb": "ipynb",
	".xml": "xml", ".svg": "xml", ".rss": "xml", ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".json": "json", ".geojson": "json",
	".jsonl": "jsonl", ".ndjson": "jsonl", ".md": "markdown", ".markdown": "markdown",
}

// find returns the reader of a document: the one that is asked for, or that of its content and name.
func find(format, name string, content []byte) (string, document.Reader, error) {
	if format == "" {
		format = formatOf(name, content)
	}
	read, ok := readers[format]
	if !ok {
		return format, nil, fmt.Errorf("%w %q", document.ErrUnknown, format)
	}
	return format, read, nil
}

// signatures are beginnings of files, longer ones first where one begins another.
var signatures = []struct{ prefix, format string }{
	{"SQLite format 3\x00", "sqlite"},
	{`{\rtf`, "rtf"},
	{"\x89PNG\r\n\x1a\n", "image"},
	{"\xff\xd8\xff", "image"},
	{"GIF87a", "image"},
	{"GIF89a", "image"},
	{"BM", "image"},
	{"II*\x00", "image"},
	{"MM\x00*", "image"},
	{"ID3", "audio"},
	{"fLaC", "audio"},
	{"OggS", "audio"},
	{"\x1f\x8b", "tar"},
	{"BZh", "tar"},
	{"\xfd7zXZ\x00", "tar"},
	{"\x28\xb5\x2f\xfd", "tar"},
}

// formatOf tells the format of a document by what it begins with, and by its name where that says more.
func formatOf(name string, content []byte) string {
	named := names[strings.ToLower(path.Ext(name))]
	if bytes.HasPrefix(content, []byte("PK\x03\x04")) || bytes.HasPrefix(content, []byte("PK\x05\x06")) {
		return zipFormat(content)
	}
	if len(content) > 12 && bytes.HasPrefix(content, []byte("RIFF")) {
		switch string(content[8:12]) {
		case "WAVE":
			return "audio"
		case "WEBP":
			return "image"
		}
	}
	if len(content) > 12 && string(content[4:8]) == "ftyp" {
		if brand := string(content[8:11]); brand == "hei" || brand == "avi" || brand == "mif" {
			return "image"
		}
		return "audio"
	}
	if len(content) > 262 && string(content[257:262]) == "ustar" {
		return "tar"
	}
	for _, s := range signatures {
		if bytes.HasPrefix(content, []byte(s.prefix)) && (s.prefix != "BM" || !utf8.Valid(content)) {
			return s.format
		}
	}
	if len(content) > 2 && content[0] == 0xff && content[1]&0xe0 == 0xe0 && content[1] != 0xff && content[1] != 0xfe {
		return "audio" // a frame of MPEG audio; 0xfffe is UTF-16
	}
	if named != "" {
		return named
	}
	return textFormat(content)
}

// zipFormat tells what kind of document a ZIP archive is.
func zipFormat(content []byte) string {
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return "zip"
	}
	for _, file := range archive.File {
		switch {
		case file.Name == "word/document.xml":
			return "docx"
		case file.Name == "xl/workbook.xml":
			return "xlsx"
		case file.Name == "ppt/presentation.xml":
			return "pptx"
		case file.Name == "META-INF/container.xml":
			return "epub"
		}
	}
	return "zip"
}

// textFormat tells what kind of text a content is.
func textFormat(content []byte) string {
	head := bytes.ToLower(bytes.TrimSpace(content[:min(len(content), 1024)]))
	switch {
	case bytes.HasPrefix(head, []byte("<!doctype html")), bytes.HasPrefix(head, []byte("<html")):
		return "html"
	case bytes.HasPrefix(head, []byte("<?xml")):
		return "xml"
	default:
		return "text"
	}
}
