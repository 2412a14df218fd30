package office

import (
	"bytes"
	"errors"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// compound is how files in the format of Office 97 begin, which also carry encrypted documents of today
// ([MS-CFB], "Compound File Binary File Format").
const compound = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

func isBinary(data []byte) bool { return bytes.HasPrefix(data, []byte(compound)) }

// Binary says of a document in the old binary formats that it must be converted.
func Binary(in *document.Input, _ *document.Output) error { return binaryError(in.Data) }

// binaryError tells by the names in the file's directory, which are UTF-16, what it is.
func binaryError(data []byte) error {
	for _, kind := range []struct{ entry, message string }{
		{"EncryptedPackage", "the document is encrypted with a password: remove the password in the program that made it, and try again"},
		{"WordDocument", "this is an old binary Word document (.doc), which is not read: convert it to .docx, for example with soffice --headless --convert-to docx"},
		{"Workbook", "this is an old binary Excel workbook (.xls), which is not read: convert it to .xlsx, for example with soffice --headless --convert-to xlsx"},
		{"PowerPoint Document", "this is an old binary PowerPoint presentation (.ppt), which is not read: convert it to .pptx, for example with soffice --headless --convert-to pptx"},
	} {
		var wide []byte
		for _, letter := range []byte(kind.entry) {
			wide = append(wide, letter, 0)
		}
		if bytes.Contains(data, wide) {
			return errors.New(kind.message)
		}
	}
	return errors.New("this is a file in an old binary format of Office, which is not read: convert it to .docx, .xlsx or .pptx, for example with soffice --headless --convert-to")
}
