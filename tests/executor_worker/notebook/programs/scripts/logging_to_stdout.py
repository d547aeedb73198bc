import logging, sys
logging.basicConfig(stream=sys.stdout, level='INFO', format='%(message)s')
logging.info('logged')
