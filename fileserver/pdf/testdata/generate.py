# Makes the PDF documents of testdata with reportlab and pypdf: python3 gen.py FOLDER
import sys, os, zlib
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate, Paragraph, Table, TableStyle, PageBreak, NextPageTemplate, Spacer
from reportlab.rl_config import defaultPageSize
import reportlab.rl_config
reportlab.rl_config.invariant = 1
out = sys.argv[1]
styles = getSampleStyleSheet()
lorem = ("The quick brown fox jumps over the lazy dog while the committee deliberates about the budget of the coming year. "
         "Nobody had expected the figures to differ so much from those of the spring. ") * 4

class Doc(BaseDocTemplate):
    def afterFlowable(self, f):
        if isinstance(f, Paragraph) and f.style.name == 'Heading1':
            key = 'h%d' % id(f)
            self.canv.bookmarkPage(key); self.canv.addOutlineEntry(f.getPlainText(), key, 0)

doc = Doc(os.path.join(out, 'report.pdf'), pagesize=A4, title='Annual report', author='Ada Lovelace', invariant=1)
w, h = A4
one = Frame(60, 60, w-120, h-120)
left, right = Frame(60, 60, (w-140)/2, h-120), Frame(60+(w-140)/2+20, 60, (w-140)/2, h-120)
doc.addPageTemplates([PageTemplate('one', [one]), PageTemplate('two', [left, right])])
rows = [['Region', 'Units', 'Revenue', 'Change'], ['North', '1,204', '€ 38,100.50', '+4.1 %'], ['South', '987', '€ 29,870.00', '-1.3 %'],
        ['East', '', '€ 12,000.00', 'n/a'], ['West and islands', '2,311', '€ 71,002.25', '+12.0 %']]
t = Table(rows); t.setStyle(TableStyle([('GRID', (0,0), (-1,-1), .5, colors.grey)]))
story = [Paragraph('Results by region', styles['Heading1']), Paragraph('All figures are in euros — ﬁnal and audited.', styles['Normal']), Spacer(1, 12), t,
         Spacer(1, 12), Paragraph('The table holds what the regions reported.', styles['Normal']),
         NextPageTemplate('two'), PageBreak(), Paragraph('Two columns', styles['Heading1'])]
for i in range(6): story.append(Paragraph('%d. %s' % (i+1, lorem), styles['Normal']))
story += [NextPageTemplate('one'), PageBreak(), Paragraph('The end', styles['Heading1']), Paragraph('Ünïcödé: Ελληνικά are not in this font, but naïve café is.', styles['Normal'])]
doc.build(story)

from pypdf import PdfReader, PdfWriter
wtr = PdfWriter(); wtr.append(PdfReader(os.path.join(out, 'report.pdf'))); wtr.encrypt('secret', algorithm='AES-256'); wtr.write(os.path.join(out, 'encrypted.pdf'))
