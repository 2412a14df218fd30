package fileserver

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

const (
	// maxText bounds the text that a model gets from one call, in bytes.
	maxText = 64 << 10
	// notesText is the part of it that is kept free for what is said about a text.
	notesText = 16 << 10
)

// A Renderer shows the reply of one file tool to a model in at most 64 KiB of text, or as a picture.
// It serves all of them. It is used by one goroutine; its zero value is ready.
type Renderer struct{ content []*sandgatev1.Content }

// NewRenderer returns a renderer for one call.
func NewRenderer() *Renderer { return &Renderer{} }

// Add takes the reply of the call. A message that is no reply of a file tool is ignored.
func (r *Renderer) Add(message proto.Message) {
	switch res := message.(type) {
	case *sandgatev1.ReadResponse:
		r.content = readContent(res)
	case *sandgatev1.ListFilesResponse:
		r.content = listContent(res)
	case *sandgatev1.WriteResponse:
		r.content = textContent(fmt.Sprintf("Wrote %s, which has %d bytes now.", oneLine(res.GetFile().GetPath()), res.GetFile().GetSize()))
	case *sandgatev1.EditResponse:
		r.content = textContent(fmt.Sprintf("Replaced %d in %s:\n%s", res.GetReplaced(), oneLine(res.GetFile().GetPath()), res.GetPreview()))
	case *sandgatev1.StatResponse:
		r.content = textContent(statLine(res.GetFile()))
	case *sandgatev1.MoveResponse:
		r.content = textContent("Moved to " + oneLine(res.GetFile().GetPath()) + ".")
	case *sandgatev1.RemoveResponse:
		r.content = textContent("Removed.")
	case *sandgatev1.ReadDocumentResponse:
		r.content = documentContent(res)
	case *sandgatev1.MakeDirResponse:
		r.content = textContent("The directory " + oneLine(res.GetFile().GetPath()) + " exists.")
	case *sandgatev1.GlobResponse:
		r.content = globContent(res)
	case *sandgatev1.GrepResponse:
		r.content = grepContent(res)
	case *sandgatev1.TreeResponse:
		r.content = treeContent(res)
	case *sandgatev1.CopyResponse:
		r.content = textContent(copyLine(res))
	case *sandgatev1.HashResponse:
		r.content = hashContent(res)
	case *sandgatev1.DiffResponse:
		r.content = diffContent(res)
	case *sandgatev1.ArchiveResponse:
		r.content = textContent(archiveLine(res))
	case *sandgatev1.ExtractResponse:
		r.content = extractContent(res)
	case *sandgatev1.PatchResponse:
		r.content = patchContent(res)
	case *sandgatev1.SaveWorkspaceResponse:
		r.content = textContent(keptLine("Saved as", res.GetWorkspace()))
	case *sandgatev1.CreateCheckpointResponse:
		r.content = textContent(keptLine("Checkpoint", res.GetCheckpoint()))
	case *sandgatev1.GetChangesResponse:
		r.content = changesContent(res)
	case *sandgatev1.UndoResponse:
		r.content = undoContent(res)
	}
}

// Content returns what the model should read.
func (r *Renderer) Content() []*sandgatev1.Content { return r.content }

// textContent is one part of text.
func textContent(text string) []*sandgatev1.Content {
	return []*sandgatev1.Content{{Part: &sandgatev1.Content_Text{Text: text}}}
}

// readContent shows a piece of a file, with a line on how to go on where more remains.
func readContent(res *sandgatev1.ReadResponse) []*sandgatev1.Content {
	if res.GetStartLine() > 0 {
		return linesContent(res)
	}
	text, data := res.GetText(), res.GetData()
	size := int64(len(text) + len(data))
	start := res.GetNextOffset() - size
	if len(data) > 0 {
		return dataContent(data, start, res)
	}
	if size == 0 {
		return textContent(fmt.Sprintf("[nothing: the file has %d bytes]", res.GetTotalSize()))
	}
	shown := head(text, maxText-notesText)
	end := start + int64(len(shown))
	if end >= res.GetTotalSize() {
		return textContent(shown)
	}
	if !strings.HasSuffix(shown, "\n") {
		shown += "\n"
	}
	return textContent(fmt.Sprintf("%s[bytes %d to %d of %d; to go on, read with offset=%d]", shown, start, end, res.GetTotalSize(), end))
}

// dataContent shows bytes that are no text: a whole picture as one, anything else by description.
func dataContent(data []byte, start int64, res *sandgatev1.ReadResponse) []*sandgatev1.Content {
	mime := ""
	switch {
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		mime = "image/png"
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		mime = "image/jpeg"
	}
	whole := start == 0 && res.GetNextOffset() >= res.GetTotalSize()
	switch {
	case start == 0 && mime != "" && whole:
		return []*sandgatev1.Content{{Part: &sandgatev1.Content_Image{Image: &sandgatev1.Image{MimeType: mime, Data: data}}}}
	case start == 0 && mime != "":
		return textContent(fmt.Sprintf("[%s, %d of %d bytes; to see it, read it whole (length at most 4194304), or make it smaller with Python]",
			mime, len(data), res.GetTotalSize()))
	default:
		return textContent(fmt.Sprintf("[not text: bytes %d to %d of %d, beginning with %x; file_read_document reads documents and text in other encodings, Python the rest]",
			start, res.GetNextOffset(), res.GetTotalSize(), data[:min(len(data), 16)]))
	}
}

// listContent shows a page of a directory, one entry a line: its size, then its path.
func listContent(res *sandgatev1.ListFilesResponse) []*sandgatev1.Content {
	if len(res.GetFiles()) == 0 {
		return textContent("[no files]")
	}
	var out strings.Builder
	for i, info := range res.GetFiles() {
		line := listLine(info)
		if out.Len()+len(line) > maxText-notesText {
			fmt.Fprintf(&out, "[%d more entries of this page are not shown; list with page_size=%d to see them page by page]",
				len(res.GetFiles())-i, i)
			return textContent(out.String())
		}
		out.WriteString(line)
	}
	if token := res.GetNextPageToken(); token != "" {
		fmt.Fprintf(&out, "[there are more entries; to go on, list with page_token=%q]", token)
	}
	return textContent(strings.TrimSuffix(out.String(), "\n"))
}

// listLine is one entry of a directory.
func listLine(info *sandgatev1.FileInfo) string {
	path := oneLine(info.GetPath())
	switch info.GetType() {
	case sandgatev1.FileType_FILE_TYPE_DIRECTORY:
		return fmt.Sprintf("%12s  %s/\n", "-", strings.TrimSuffix(path, "/"))
	case sandgatev1.FileType_FILE_TYPE_SYMLINK:
		return fmt.Sprintf("%12s  %s -> %s\n", "link", path, oneLine(info.GetSymlinkTarget()))
	case sandgatev1.FileType_FILE_TYPE_FILE:
		return fmt.Sprintf("%12d  %s\n", info.GetSize(), path)
	case sandgatev1.FileType_FILE_TYPE_OTHER, sandgatev1.FileType_FILE_TYPE_UNSPECIFIED:
		return fmt.Sprintf("%12s  %s\n", "special", path)
	default:
		return fmt.Sprintf("%12s  %s\n", "special", path)
	}
}

// statLine describes a file in one line.
func statLine(info *sandgatev1.FileInfo) string {
	kind := strings.ToLower(strings.TrimPrefix(info.GetType().String(), "FILE_TYPE_"))
	line := fmt.Sprintf("%s: %s, %d bytes, mode %04o", oneLine(info.GetPath()), kind, info.GetSize(), info.GetMode())
	if info.GetModifiedAt() != nil {
		line += ", changed " + info.GetModifiedAt().AsTime().UTC().Format("2006-01-02T15:04:05Z")
	}
	if info.GetSymlinkTarget() != "" {
		line += ", points to " + oneLine(info.GetSymlinkTarget())
	}
	return line
}

// head returns at most limit bytes of text, cut after a line if there is one, else after a character.
func head(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	if end := strings.LastIndexByte(text[:cut], '\n'); end > cut/2 {
		cut = end + 1
	}
	return text[:cut]
}

// oneLine returns text without characters that would break a line.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
}
