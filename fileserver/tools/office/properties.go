package office

import "github.com/sandgate/sandgate/fileserver/tools/document"

// properties notes what a document says of itself. Damage there is none of the document.
func (a *archive) properties(out *document.Output) {
	names := map[string]string{
		"title": "title", "subject": "subject", "creator": "author", "keywords": "keywords", "description": "description",
		"lastModifiedBy": "last modified by", "created": "created", "modified": "modified", "category": "category",
		"Application": "application", "Company": "company", "Manager": "manager", "Pages": "pages", "Words": "words",
	}
	for _, file := range []string{"docProps/core.xml", "docProps/app.xml"} {
		_ = a.each(file, func(s *scanner, element string) error {
			name, ok := names[element]
			if !ok {
				return nil
			}
			text, err := s.content()
			if text != "0" { // of what nobody counted
				out.Property(name, text)
			}
			return err
		})
	}
}
