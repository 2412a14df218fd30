package web

import (
	"encoding/xml"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"

	"golang.org/x/net/html"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// A book is an EPUB's package document, which lists its files and their order.
type book struct {
	Titles       []string       `xml:"metadata>title"`
	Creators     []string       `xml:"metadata>creator"`
	Languages    []string       `xml:"metadata>language"`
	Publishers   []string       `xml:"metadata>publisher"`
	Identifiers  []string       `xml:"metadata>identifier"`
	Descriptions []string       `xml:"metadata>description"`
	Subjects     []string       `xml:"metadata>subject"`
	Rights       []string       `xml:"metadata>rights"`
	Dates        []string       `xml:"metadata>date"`
	Manifest     []manifestItem `xml:"manifest>item"`
	Spine        struct {
		Contents string `xml:"toc,attr"`
		Items    []struct {
			ID string `xml:"idref,attr"`
		} `xml:"itemref"`
	} `xml:"spine"`

	files  *archive
	items  map[string]manifestItem // by ID
	titles map[string]string       // of documents by their path, from the table of contents
	locked map[string]bool         // paths of encrypted files
}

// A manifestItem is a file of the book.
type manifestItem struct {
	ID         string `xml:"id,attr"`
	Href       string `xml:"href,attr"`
	Type       string `xml:"media-type,attr"`
	Properties string `xml:"properties,attr"`
	path       string // in the archive
}

// openBook reads which files the book has.
func openBook(files *archive) (*book, error) {
	var container struct {
		Roots []struct {
			Path string `xml:"full-path,attr"`
		} `xml:"rootfiles>rootfile"`
	}
	if err := unmarshal(files, "META-INF/container.xml", &container); err != nil {
		return nil, err
	}
	if len(container.Roots) == 0 {
		return nil, document.Damaged("META-INF/container.xml names no package document")
	}
	root := container.Roots[0].Path
	b := &book{files: files, items: make(map[string]manifestItem), titles: make(map[string]string)}
	if err := unmarshal(files, root, b); err != nil {
		return nil, err
	}
	for _, item := range b.Manifest {
		item.path = resolve(root, item.Href)
		b.items[item.ID] = item
		if slices.Contains(strings.Fields(item.Properties), "nav") {
			b.navigation(item.path)
		}
	}
	if contents := b.item(b.Spine.Contents); contents.path != "" && len(b.titles) == 0 {
		b.contents(contents.path)
	}
	b.locks()
	return b, nil
}

// item returns a file of the book, the zero item for none.
func (b *book) item(id string) manifestItem { return b.items[id] }

// resolve returns the path in the archive of what a file refers to.
func resolve(from, reference string) string {
	reference, _, _ = strings.Cut(reference, "#")
	if plain, err := url.PathUnescape(reference); err == nil {
		reference = plain
	}
	return strings.TrimPrefix(path.Join("/", path.Dir(from), reference), "/")
}

// navigation takes the titles from an EPUB 3 navigation document, whose links have them. Without it, or with a
// damaged one, chapters are called by their headings.
func (b *book) navigation(name string) {
	data, _ := b.files.read(name)
	text, _ := decodeMarkup(data)
	tokens := html.NewTokenizer(strings.NewReader(text))
	link, title := "", ""
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			return
		case html.StartTagToken:
			if token := tokens.Token(); token.Data == "a" {
				link, title = attribute(token, "href"), ""
			}
		case html.TextToken:
			title += string(tokens.Text())
		case html.EndTagToken:
			if tag, _ := tokens.TagName(); string(tag) == "a" {
				b.entitle(name, link, title)
				link = ""
			}
		default:
		}
	}
}

// entitle notes a document's title, the first of all that lead to it.
func (b *book) entitle(from, link, title string) {
	title = strings.Join(strings.Fields(title), " ")
	to := resolve(from, link)
	if _, known := b.titles[to]; !known && link != "" && title != "" {
		b.titles[to] = title
	}
}

// contents takes the titles from an EPUB 2 table of contents (NCX), where each stands before its link.
func (b *book) contents(name string) {
	data, _ := b.files.read(name)
	text, _ := decodeMarkup(data)
	decoder := newDecoder(text)
	title := ""
	for {
		token, err := decoder.RawToken()
		if err != nil {
			return
		}
		start, ok := token.(xml.StartElement)
		switch {
		case !ok:
		case start.Name.Local == "text":
			title = ""
			if text, err := decoder.RawToken(); err == nil {
				data, _ := text.(xml.CharData)
				title = string(data)
			}
		case start.Name.Local == "content":
			for _, a := range start.Attr {
				if a.Name.Local == "src" {
					b.entitle(name, a.Value, title)
				}
			}
		}
	}
}

// locks notes which files are encrypted: fonts often, and books that are sold with a lock.
func (b *book) locks() {
	var encryption struct {
		Data []struct {
			Reference struct {
				URI string `xml:"URI,attr"`
			} `xml:"CipherData>CipherReference"`
		} `xml:"EncryptedData"`
	}
	if b.files.files["META-INF/encryption.xml"] == nil || unmarshal(b.files, "META-INF/encryption.xml", &encryption) != nil {
		return
	}
	b.locked = make(map[string]bool)
	for _, data := range encryption.Data {
		b.locked[resolve("", data.Reference.URI)] = true
	}
}

// unmarshal reads an XML file of an archive.
func unmarshal(files *archive, name string, into any) error {
	data, err := files.read(name)
	if err != nil {
		return err
	}
	text, _ := decodeMarkup(data)
	if err := newDecoder(text).Decode(into); err != nil {
		return document.Damaged("%q: %w", name, err)
	}
	return nil
}

// newDecoder returns a decoder of a text that is UTF-8 whatever it says, and lenient.
func newDecoder(text string) *xml.Decoder {
	decoder := xml.NewDecoder(strings.NewReader(text))
	decoder.Strict = false
	decoder.CharsetReader = func(_ string, input io.Reader) (io.Reader, error) { return input, nil }
	return decoder
}
